"""What do the measurements of several rounds say: how much, how sure, and compared with whom?

A round measures every contestant within a short time, so that whatever else the machine does then falls on all of them.
Comparisons are therefore made within each round first; what is told is their median over the rounds and their range.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import TypeVar

BASELINE = "upstream"
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: a contestant in a case in a round (from 1).

    `figures`: name, as in `FIGURES`, -> value. `errors`: requests or streams that did not get a whole answer.
    """

    contestant: str
    case: str
    round: int
    figures: Mapping[str, float]
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Spread:
    """The median over the rounds, the least and the greatest value."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """`None` of no values."""
    return Spread(median(values), min(values), max(values)) if values else None


def percentile(ordered: Sequence[float], share_01: float) -> float:
    """The least of these ascending values that so great a share of them does not exceed (nearest rank).

    Raises `ValueError` of no values.
    """
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, ceil(share_01 * len(ordered)) - 1)]


class Results:
    """Rows, asked by contestant, case and figure; with none that fits, the answer is `None`."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def contestants(self, case: str) -> list[str]:
        """Who was measured in a case."""
        return list(dict.fromkeys(row.contestant for row in self.rows if row.case == case))

    def figures(self, case: str) -> set[str]:
        """What was measured in a case."""
        return {name for row in self.rows if row.case == case for name in row.figures}

    def errors(self, contestant: str, case: str | None = None) -> int:
        """Errors of all rounds, in one case or in all."""
        return sum(row.errors for row in self.rows if row.contestant == contestant and case in (None, row.case))

    def value(self, contestant: str, case: str, figure: str) -> Spread | None:
        return spread(list(self._by_round(contestant, case, figure).values()))

    def added(self, contestant: str, case: str, figure: str) -> Spread | None:
        """What a contestant adds to the upstream alone, which may be below 0 by chance."""
        return spread(list(self._added_by_round(contestant, case, figure).values()))

    def ratio(self, of: str, to: str, case: str, figure: str, added: bool = False) -> Spread | None:
        """One contestant's figure divided by another's; with `added`, what each adds to the upstream.

        A round in which the divisor is not above 0 says nothing and is left out.
        """
        taken = self._added_by_round if added else self._by_round
        pairs = _paired(taken(of, case, figure), taken(to, case, figure))
        return spread([one / other for one, other in pairs.values() if other > 0])

    def _by_round(self, contestant: str, case: str, figure: str) -> dict[int, float]:
        return {
            row.round: row.figures[figure]
            for row in self.rows
            if row.contestant == contestant and row.case == case and figure in row.figures
        }

    def _added_by_round(self, contestant: str, case: str, figure: str) -> dict[int, float]:
        pairs = _paired(self._by_round(contestant, case, figure), self._by_round(BASELINE, case, figure))
        return {number: value - base for number, (value, base) in pairs.items()}


def rotated(order: Sequence[Item], by: int) -> list[Item]:
    """The same order, begun `by` places later."""
    start = by % len(order) if order else 0
    return [*order[start:], *order[:start]]


def _paired(ones: Mapping[int, float], others: Mapping[int, float]) -> dict[int, tuple[float, float]]:
    return {number: (ones[number], others[number]) for number in ones if number in others}
