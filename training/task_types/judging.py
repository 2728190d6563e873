"""How often is the task detector right on prompts that it was not trained on?"""

import ast
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from actors.optimizing.tasks.detector import SURE_PERMILLE, TaskDetector
from actors.protocol.tasks import TASK_TYPES, TaskGuess
from training.task_types.questions import sections

HELD_OUT: Final = Path(__file__).parent / "held_out.txt"
TYPE_OF: Final[Mapping[str, str]] = {
    "math": "math",
    "gsm8k": "math",
    "agentverse-mgsm": "math",
    "mbpp": "code",
    "human_eval": "code",
    "code": "code",
    "commongen": "creative",
}
"""The type of task of a recorded question by its file's name for it; all others ask for a fact."""


class Prompt(NamedTuple):
    """`source`: a language, or the recorded data it comes from."""

    text: str
    task_type: str
    source: str


def held_out() -> list[Prompt]:
    """Prompts written by hand for this purpose."""
    return [Prompt(text, *name.split()) for name, lines in sections(HELD_OUT).items() for text in lines]


def recorded(path: Path) -> list[Prompt]:
    """Each question of a file of recorded answers, with its choices if it has any."""
    found: dict[str, Prompt] = {}
    with gzip.open(path, "rt") as lines:
        for row in map(json.loads, lines):
            if row["id"] not in found:
                task = row.get("category") or row.get("task_type") or "unknown"
                source = f"{row['dataset']} {task}"
                found[row["id"]] = Prompt(
                    row["prompt"] + _choices(row, task), TYPE_OF.get(task, "factual_question"), source
                )
    return list(found.values())


def _choices(row: Mapping[str, Any], task: str) -> str:
    given = row.get("choices")
    if not given or TYPE_OF.get(task) == "code":
        return ""
    if isinstance(given, str):
        try:
            given = ast.literal_eval(given)
        except (SyntaxError, ValueError):
            return f"\n{given}"
    texts = given["text"] if isinstance(given, dict) else given
    return "".join(f"\n{chr(ord('A') + place)}. {text}" for place, text in enumerate(texts))


class Judged(NamedTuple):
    """Prompts and what was made of them."""

    prompts: Sequence[Prompt]
    guesses: Sequence[TaskGuess]

    @classmethod
    def of(cls, prompts: Sequence[Prompt], detector: TaskDetector) -> "Judged":
        return cls(prompts, [detector.detect(prompt.text) for prompt in prompts])

    def by_source(self) -> Iterator[tuple[str, "Judged"]]:
        for source in dict.fromkeys(prompt.source for prompt in self.prompts):
            pairs = [pair for pair in zip(self.prompts, self.guesses, strict=True) if pair[0].source == source]
            yield source, Judged([prompt for prompt, _ in pairs], [guess for _, guess in pairs])

    @property
    def accuracy_01(self) -> float:
        """The share of right types; `unknown` for a known one counts as wrong."""
        right = [guess.task_type == prompt.task_type for prompt, guess in zip(self.prompts, self.guesses, strict=True)]
        return float(np.mean(right))

    @property
    def calibration_error_01(self) -> float:
        """Expected calibration error of the likeliest type in ten bins, Guo et al. 2017."""
        sure = np.array([max(guess.permille) / 1000 for guess in self.guesses])
        right = np.array(
            [
                TASK_TYPES[int(np.argmax(guess.permille))] == prompt.task_type
                for prompt, guess in zip(self.prompts, self.guesses, strict=True)
            ]
        )
        bins = np.minimum((sure * 10).astype(int), 9)
        return float(sum(abs((right - sure)[bins == one].sum()) for one in range(10)) / len(sure))

    def confusion(self) -> NDArray[np.int_]:
        """How often each true type (row) was taken for each type (column), in the order of `TASK_TYPES`."""
        found = np.zeros((len(TASK_TYPES), len(TASK_TYPES)), int)
        for prompt, guess in zip(self.prompts, self.guesses, strict=True):
            found[TASK_TYPES.index(prompt.task_type), TASK_TYPES.index(guess.task_type)] += 1
        return found


def show(console: Console, title: str, judged: Judged) -> None:
    """Accuracy by source, and the confusion matrix."""
    accuracies = Table("source", "prompts", "right", title=title)
    for source, part in judged.by_source():
        accuracies.add_row(source, str(len(part.prompts)), f"{part.accuracy_01:.3f}")
    accuracies.add_row("all", str(len(judged.prompts)), f"{judged.accuracy_01:.3f}")
    console.print(accuracies)
    console.print(
        f"expected calibration error {judged.calibration_error_01:.3f}; below {SURE_PERMILLE / 1000} it says unknown"
    )
    confusion = Table("true \\ said", *TASK_TYPES)
    for task_type, row in zip(TASK_TYPES, judged.confusion(), strict=True):
        if row.any():
            confusion.add_row(task_type, *(str(count) if count else "." for count in row))
    console.print(confusion)
