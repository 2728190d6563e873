from actors.protocol.messages import DecisionRecord
from actors.tracing.budget_alerts import BudgetAlerts
from actors.tracing.budgets import Spending

MONDAY, TUESDAY = "2026-11-23", "2026-11-24"


def ann(spent_usd: float) -> list[Spending]:
    return [Spending("key:ann", 10.0, spent_usd)]


def told(alerts: BudgetAlerts, spent_usd: float, day: str = MONDAY) -> list[float]:
    return [alert.threshold_01 for alert in alerts.risen(ann(spent_usd), day)]


def test_each_threshold_is_told_once_a_day_and_the_highest_alone() -> None:
    alerts = BudgetAlerts([0.5, 0.8, 1.0])

    assert [told(alerts, spent_usd) for spent_usd in (4.9, 5.0, 7.0, 10.1, 12.0)] == [[], [0.5], [], [1.0], []]
    assert alerts.told_01("key:ann") == 1.0
    assert told(alerts, 0.0, TUESDAY) == []
    assert told(alerts, 8.0, TUESDAY) == [0.8]


def test_a_budget_is_used_up_when_a_request_was_refused_for_it() -> None:
    alerts = BudgetAlerts([0.8, 1.0])
    told(alerts, 0.0)
    refused = DecisionRecord("r", 0.0, "team", "none", None, "insufficient_quota", 429, 1.0, 1.0, False, key_name="ann")

    alerts.refused([refused], [*ann(9.5), Spending("model:team", 10.0, 1.0)], MONDAY)

    assert (alerts.refusals("key:ann"), alerts.refusals("model:team")) == (1, 0)
    assert told(alerts, 9.5) == [1.0]


def test_keys_without_a_budget_are_not_counted() -> None:
    alerts = BudgetAlerts([1.0])
    other = DecisionRecord("r", 0.0, "team", "none", None, "insufficient_quota", 429, 1.0, 1.0, False, key_name="bob")

    alerts.refused([other], ann(1.0), MONDAY)

    assert alerts.refusals("key:ann") == 0


def test_a_budget_of_nothing_is_always_used_up() -> None:
    assert Spending("key:ann", 0.0, 0.0).used_01 == 1.0


def test_what_was_told_is_not_told_again_after_a_restart() -> None:
    first, second = BudgetAlerts([0.8, 1.0]), BudgetAlerts([0.8, 1.0])
    told(first, 8.5)

    second.restore(first.saved())

    assert (told(second, 8.6), told(second, 10.0)) == ([], [1.0])
