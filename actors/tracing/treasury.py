"""How do the day's budgets stand, what of them is lent, and who is told when they run out?"""

import logging
from collections.abc import Mapping, Sequence

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.messages import DecisionRecord, JsonObject
from actors.tracing.budget_alerts import REFUSED, BudgetAlerts
from actors.tracing.budgets import BudgetBook
from actors.tracing.usage import UsageBook, day_of

log = logging.getLogger("troupe.tracer")


class Treasury:
    """Lends budgets by the `BudgetBook`, and logs what the `BudgetAlerts` say of them."""

    def __init__(
        self,
        budgets_usd: Mapping[str, float],
        replicas: int,
        alerts_01: Sequence[float],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`alerts_01`: the shares of a budget whose spending is told."""
        self._budgets = BudgetBook(budgets_usd, replicas, clock)
        self.alerts = BudgetAlerts(alerts_01)
        self._clock = clock

    def lend(self, holder: str, held_usd: Mapping[str, float], usage: UsageBook) -> Mapping[str, float]:
        """What a replica may spend from now on, see `BudgetBook.lend`. Logs each budget that has passed a threshold."""
        for alert in self.alerts.risen(self._budgets.spent(usage), self._today()):
            one = alert.spending
            spent = f"{one.spent_usd:.4g} of {one.usd_per_day:.4g} USD are spent today"
            if alert.threshold_01 > one.used_01:
                log.warning("the budget '%s' no longer covers every request: %s", one.budget, spent)
            else:
                log.warning("the budget '%s' has reached %.0f %%: %s", one.budget, alert.threshold_01 * 100, spent)
        return self._budgets.lend(holder, held_usd, usage)

    def note_refusals(self, requests: Sequence[DecisionRecord], usage: UsageBook) -> None:
        """Counts those of the finished requests that were refused for a budget."""
        refused = [request for request in requests if request.outcome == REFUSED]
        if refused:
            self.alerts.refused(refused, self._budgets.spent(usage), self._today())

    def report(self, usage: UsageBook) -> list[JsonObject]:
        """Each budget with what was spent of it today, the highest threshold passed, and how many were refused."""
        return [
            {
                "budget": one.budget,
                "usd_per_day": one.usd_per_day,
                "spent_usd": round(one.spent_usd, 9),
                "used_01": round(one.used_01, 6),
                "alert_01": self.alerts.told_01(one.budget),
                "refused": self.alerts.refusals(one.budget),
            }
            for one in self._budgets.spent(usage)
        ]

    def _today(self) -> str:
        return day_of(self._clock.wall_s())
