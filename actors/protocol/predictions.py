"""How good is each one's answer to this very question expected to be?"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol


class Expected(NamedTuple):
    """The mean quality that is expected, higher is better; it lies within `reach_01` of it with a probability of about
    95 %."""

    quality_01: float
    reach_01: float


class Predictions(Protocol):
    """What was learned of questions. `version` rises with each that was learned.

    `boldness`: for which share of its uncertainty an expectation is explored, 0 or more.
    """

    @property
    def version(self) -> int: ...

    @property
    def boldness(self) -> float: ...

    def expected(self, features: str, task_type: str) -> Mapping[str, Expected]:
        """Per backend or ensemble of which enough is known; nothing where ratings know more of that type of task."""
        ...


Describe = Callable[[str, Sequence[int]], str]
"""The features of a question, packed; no text can be read out of them. Besides the text it takes the `permille` of what
type of task is guessed."""


def undescribed(question: str, task_permille: Sequence[int] = ()) -> str:
    """Where nothing is to be learned, no question is looked at."""
    return ""
