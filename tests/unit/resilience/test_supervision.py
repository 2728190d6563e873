"""Are the right ones started anew, and not for ever?"""

import pytest

from actors.protocol.clock import ManualClock
from actors.resilience.supervision import RULINGS_KEPT, Chronicle, RestartIntensity, RestartStrategy, also_restarted

GROUP = ("tracer", "optimizer", "router")


@pytest.mark.parametrize(
    ("strategy", "failed", "others"),
    [
        ("one_for_one", "tracer", []),
        ("rest_for_one", "tracer", ["optimizer", "router"]),
        ("rest_for_one", "optimizer", ["router"]),
        ("rest_for_one", "router", []),
        ("one_for_all", "optimizer", ["tracer", "router"]),
    ],
)
def test_others_go_with_one_as_the_strategy_says(strategy: RestartStrategy, failed: str, others: list[str]) -> None:
    assert list(also_restarted(GROUP, failed, strategy)) == others


def test_more_restarts_than_allowed_within_the_window_are_too_many() -> None:
    intensity = RestartIntensity(max_restarts=2, window_s=10.0)
    assert [intensity.note(now_s) for now_s in (0.0, 1.0, 2.0)] == [True, True, False]


def test_restarts_that_are_long_past_are_forgotten() -> None:
    intensity = RestartIntensity(max_restarts=2, window_s=10.0)
    assert [intensity.note(now_s) for now_s in (0.0, 1.0, 10.5, 20.0)] == [True, True, True, True]
    assert intensity.recent == 2


def test_only_the_last_decisions_are_kept() -> None:
    chronicle = Chronicle(ManualClock())

    for number in range(RULINGS_KEPT + 1):
        chronicle.note("backend:a", "restarted", f"the {number}th time")

    assert len(chronicle.rulings) == RULINGS_KEPT
    assert chronicle.rulings[0].reason == f"the {RULINGS_KEPT}th time"
