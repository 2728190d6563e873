"""Which types of task are there, and what is guessed of one question?"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

UNKNOWN_TASK: Final = "unknown"
ANY_TASK: Final = "any"
"""Stands for all types of task together."""

TASK_TYPES: Final = (
    "code",
    "math",
    "factual_question",
    "summarization",
    "translation",
    "extraction",
    "creative",
    "chat",
    UNKNOWN_TASK,
)


class TaskGuess(NamedTuple):
    """A type of task, and how probable each one is: `permille` in the order of `TASK_TYPES`, empty if none was guessed.

    In whole thousandths, since there is one such record for each request.
    """

    task_type: str
    permille: tuple[int, ...] = ()


UNGUESSED: Final = TaskGuess(UNKNOWN_TASK)

Detect = Callable[[str], TaskGuess]


def unguessed(question: str) -> TaskGuess:
    """Where nothing is to be learned, no question is looked at."""
    return UNGUESSED


def probabilities_01(permille: Sequence[int]) -> dict[str, float]:
    """Per type, the likeliest first; those below a thousandth left out."""
    likeliest = sorted(zip(TASK_TYPES, permille, strict=False), key=lambda pair: -pair[1])
    return {task_type: share / 1000 for task_type, share in likeliest if share}


def question_in(messages: Sequence[Mapping[str, Any]]) -> str:
    """The text of the last thing that the user said; empty where there is none."""
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            if isinstance(content, list):
                return " ".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
            return ""
    return ""
