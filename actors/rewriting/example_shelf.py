"""Which good answers of this replica can be shown as examples, and to whom?"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Final

from actors.protocol.messages import Feedback
from actors.rewriting.patterns import Example

GOOD_FROM_01: Final = 0.9
LONGEST_CHARS: Final = 500  # of a question, and of an answer
SHOWN: Final = 3
UNJUDGED_KEPT: Final = 1_000
GOOD_KEPT: Final = 16  # per key and type of task
KEYS_KEPT: Final = 1_000

_Shelf = tuple[str | None, str]
"""The name of an API key, and a type of task."""


class ExampleShelf:
    """The last short answers, until they are judged, and the good ones among them; in memory alone.

    What came with one API key is never shown to another.
    """

    def __init__(self) -> None:
        self._unjudged: OrderedDict[str, tuple[_Shelf, Example]] = OrderedDict()
        self._good: OrderedDict[_Shelf, deque[Example]] = OrderedDict()

    def note(self, request_id: str, key_name: str | None, task_type: str, question: str, answer: str) -> None:
        """Keeps an answer until it is judged, unless it is too long."""
        if len(question) > LONGEST_CHARS or not 0 < len(answer) <= LONGEST_CHARS:
            return
        self._unjudged[request_id] = (key_name, task_type), Example(question, answer)
        if len(self._unjudged) > UNJUDGED_KEPT:
            self._unjudged.popitem(last=False)

    def judge(self, feedback: Feedback) -> None:
        """Puts the answer on the shelf if it was good; where the right one is told, that one."""
        shelf, example = self._unjudged.pop(feedback.request_id, (None, None))
        if shelf is None or example is None:
            return
        if feedback.right is True or (feedback.score_01 or 0.0) >= GOOD_FROM_01:
            self._put(shelf, example)
        elif feedback.gold is not None and len(feedback.gold) <= LONGEST_CHARS:
            self._put(shelf, Example(example.question, feedback.gold))

    def _put(self, shelf: _Shelf, example: Example) -> None:
        good = self._good.setdefault(shelf, deque(maxlen=GOOD_KEPT))
        if all(known.question != example.question for known in good):
            good.append(example)
        self._good.move_to_end(shelf)
        if len(self._good) > KEYS_KEPT:
            self._good.popitem(last=False)

    def examples(self, key_name: str | None, task_type: str, question: str) -> Sequence[Example]:
        """The good answers to the questions that are most like this one, the likest last; never its own."""
        words = frozenset(question.lower().split())
        good = [one for one in self._good.get((key_name, task_type), ()) if one.question != question]
        return sorted(good, key=lambda one: _overlap_01(words, one.question))[-SHOWN:]


def _overlap_01(words: frozenset[str], other: str) -> float:
    others = frozenset(other.lower().split())
    return len(words & others) / max(1, len(words | others))
