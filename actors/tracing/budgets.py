"""Who may still spend how much today? A day's budget, lent to the replicas in slices so that no request has to ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.tracing.usage import UsageBook, day_of

KEY: Final = "key:"
MODEL: Final = "model:"
HOLDER_FORGOTTEN_AFTER_S: Final = 60.0
SETTLES_WITHIN_S: Final = 3.0  # after a restart: by then every replica has told what it holds


@dataclass(frozen=True, slots=True)
class Spending:
    """A day's budget, and what was spent of it."""

    budget: str
    usd_per_day: float
    spent_usd: float

    @property
    def used_01(self) -> float:
        """The share that is spent; above 1 where requests cost more than was expected."""
        return self.spent_usd / self.usd_per_day if self.usd_per_day else 1.0


@dataclass(slots=True)
class _Holder:
    seen_s: float
    held_usd: Mapping[str, float]


class BudgetBook:
    """Lends what is left of each budget. A budget is named `key:NAME` or `model:NAME` and holds for a day in UTC.

    What was spent and what is lent never exceed the budget together: a replica may spend what it holds without asking.
    """

    def __init__(self, budgets_usd: Mapping[str, float], replicas: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._budgets_usd = budgets_usd
        self._replicas = replicas
        self._clock = clock
        self._born_s = clock.monotonic_s()
        self._holders: dict[str, _Holder] = {}

    def lend(self, holder: str, held_usd: Mapping[str, float], usage: UsageBook) -> dict[str, float]:
        """What the holder may spend from now on, in place of what it held; at least 0, per budget.

        `usage` must know all that the holder has spent. Each of n holders gets at most an n-th of what is left of the
        day's budget. Just after the start nobody gets more than it says that it held: others may hold the rest.
        """
        now_s = self._clock.monotonic_s()
        self._holders = {
            name: other for name, other in self._holders.items() if now_s - other.seen_s < HOLDER_FORGOTTEN_AFTER_S
        }
        others = [other.held_usd for name, other in self._holders.items() if name != holder]
        day = day_of(self._clock.wall_s())
        lent: dict[str, float] = {}
        for name, budget_usd in self._budgets_usd.items():
            unspent_usd = budget_usd - _spent_usd(name, day, usage)
            free_usd = unspent_usd - sum(other.get(name, 0.0) for other in others)
            slice_usd = max(0.0, min(free_usd, unspent_usd / max(self._replicas, len(others) + 1)))
            if unspent_usd < budget_usd and now_s - self._born_s < SETTLES_WITHIN_S:
                slice_usd = min(slice_usd, held_usd.get(name, 0.0))
            lent[name] = slice_usd
        self._holders[holder] = _Holder(now_s, lent)
        return lent

    def spent(self, usage: UsageBook) -> list[Spending]:
        """Each budget with what was spent of it today."""
        day = day_of(self._clock.wall_s())
        return [
            Spending(name, budget_usd, _spent_usd(name, day, usage)) for name, budget_usd in self._budgets_usd.items()
        ]


def _spent_usd(budget: str, day: str, usage: UsageBook) -> float:
    if budget.startswith(KEY):
        return usage.spent_usd(day, key=budget.removeprefix(KEY))
    return usage.spent_usd(day, model=budget.removeprefix(MODEL))
