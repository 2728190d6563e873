"""Who should hear that a budget runs out, and when? Once a day for each threshold that is passed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from actors.protocol.messages import DecisionRecord, JsonObject
from actors.tracing.budgets import KEY, MODEL, Spending

REFUSED: Final = "insufficient_quota"


@dataclass(frozen=True, slots=True)
class Alert:
    """A budget of which at least the share `threshold_01` is spent; 1 also where a request had to be refused."""

    spending: Spending
    threshold_01: float


@dataclass(slots=True)
class _Today:
    refused: int = 0
    told_01: float = 0.0


class BudgetAlerts:
    """What was told of each budget today. `thresholds_01`: shares of a budget, none above 1."""

    def __init__(self, thresholds_01: Sequence[float]) -> None:
        self._thresholds_01 = sorted(thresholds_01)
        self._day = ""
        self._today: dict[str, _Today] = {}

    def refused(self, requests: Sequence[DecisionRecord], spent: Sequence[Spending], day: str) -> None:
        """Counts refused requests of a day, each for that budget of its key and its model of which less is left."""
        self._turn_to(day)
        shares_01 = {one.budget: one.used_01 for one in spent}
        for request in requests:
            concerned = [name for name in (f"{KEY}{request.key_name}", f"{MODEL}{request.model}") if name in shares_01]
            if concerned:
                self._of(max(concerned, key=shares_01.__getitem__)).refused += 1

    def refusals(self, budget: str) -> int:
        """How many requests were refused for it today."""
        return self._of(budget).refused

    def risen(self, spent: Sequence[Spending], day: str) -> list[Alert]:
        """The highest threshold that each budget has passed since this was last asked; a new day begins anew."""
        self._turn_to(day)
        found: list[Alert] = []
        for one in spent:
            today = self._of(one.budget)
            used_01 = 1.0 if today.refused else one.used_01
            passed_01 = max((share for share in self._thresholds_01 if share <= used_01), default=0.0)
            if passed_01 > today.told_01:
                today.told_01 = passed_01
                found.append(Alert(one, passed_01))
        return found

    def told_01(self, budget: str) -> float:
        """The highest threshold that was passed today; 0 for none."""
        return self._of(budget).told_01

    def saved(self) -> JsonObject:
        """What was told and refused today, for `restore`."""
        return {"day": self._day, "today": {name: [one.refused, one.told_01] for name, one in self._today.items()}}

    def restore(self, saved: JsonObject) -> None:
        """Goes on from what was saved, so that nothing is told twice."""
        self._day = saved["day"]
        self._today = {name: _Today(refused, told_01) for name, (refused, told_01) in saved["today"].items()}

    def _turn_to(self, day: str) -> None:
        if day != self._day:
            self._day, self._today = day, {}

    def _of(self, budget: str) -> _Today:
        return self._today.setdefault(budget, _Today())
