"""What did this replica answer lately, so that feedback with the right answer can be compared with it?"""

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from actors.ensembling.extraction import final_answer
from actors.protocol.messages import Feedback

KEPT: Final = 10_000
KEPT_CHARS: Final = 8_000_000
LONGEST_CHARS: Final = 20_000  # of one answer its end is kept, where final answers stand


class AnswersGiven:
    """The last answers' texts, in memory alone; the oldest go first."""

    def __init__(self, kept: int = KEPT, kept_chars: int = KEPT_CHARS) -> None:
        self._kept = kept
        self._kept_chars = kept_chars
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._chars = 0

    def note(self, request_id: str, text: str) -> None:
        """Keeps an answer."""
        text = text if len(text) <= LONGEST_CHARS else text[-LONGEST_CHARS:]
        self._texts[request_id] = text
        self._chars += len(text)
        while len(self._texts) > self._kept or self._chars > self._kept_chars:
            self._chars -= len(self._texts.popitem(last=False)[1])

    def judged(self, feedback: Feedback) -> Feedback:
        """The feedback, with whether the answer was right where the right one is told and both can be compared."""
        text = self._texts.get(feedback.request_id)
        if feedback.gold is None or text is None:
            return feedback
        said, gold = final_answer(text), final_answer(feedback.gold)
        if said is None or gold is None:
            same = text.strip().casefold() == feedback.gold.strip().casefold()
            return replace(feedback, gold_right=True) if same else feedback
        return replace(feedback, gold_right=said == gold)
