"""Which answers to a question that was put in two ways still wait for somebody to say what is right?"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from actors.protocol.messages import Feedback
from actors.protocol.patterns import Comparison, Trial

T = TypeVar("T")

KEPT: Final = 10_000


class Comparisons:
    """The last comparisons, and the last right answers that were told; in memory alone, since both are words.

    `reading`: the spelling of a right answer in which it can be compared. That an answer was right or wrong says
    nothing sure of another one, so that only feedback with `gold` counts, or what the others of a panel agreed on.
    """

    def __init__(self, reading: Callable[[str], str | None]) -> None:
        self._reading = reading
        self._waiting: OrderedDict[str, Comparison] = OrderedDict()
        self._told: OrderedDict[str, str] = OrderedDict()

    def compare(self, comparisons: Iterable[Comparison], at_s: float) -> list[Trial]:
        """Takes comparisons in; the trials of those of which the right answer is known already."""
        trials = []
        for one in comparisons:
            right = self._told.pop(one.request_id, None) or one.expected
            if right is not None:
                trials.append(one.trial(right, at_s))
            else:
                _put(self._waiting, one.request_id, one)
        return trials

    def judge(self, feedback: Feedback, at_s: float) -> list[Trial]:
        """What a judgement says of the comparison that waits for it; kept for one that is still to come."""
        right = None if feedback.gold is None else self._reading(feedback.gold)
        if right is None:
            return []
        waiting = self._waiting.pop(feedback.request_id, None)
        if waiting is not None:
            return [waiting.trial(right, at_s)]
        _put(self._told, feedback.request_id, right)
        return []


def _put(kept: OrderedDict[str, T], request_id: str, one: T) -> None:
    kept[request_id] = one
    if len(kept) > KEPT:
        kept.popitem(last=False)
