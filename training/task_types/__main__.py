"""Train the task detector on the phrases beside this file, and judge it on prompts that it has not seen.

python -m training.task_types [FILE.jsonl.gz ...] [--keep]
"""

import zlib
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from rich.console import Console

from actors.optimizing.tasks import detector
from actors.optimizing.tasks.detector import TaskDetector
from actors.protocol.tasks import TASK_TYPES
from training.task_types.fitting import Floats, Table, fitted, table_of, temperature
from training.task_types.judging import Judged, held_out, recorded, show
from training.task_types.questions import Example, examples

FILLS: Final = 3
SEED: Final = 1
FOLDS: Final = 3
WEIGHTS: Final = Path(detector.__file__).with_name(detector.WEIGHTS_FILE)


def train(console: Console) -> None:
    """Writes the weights, one byte each."""
    learned_from = list(examples(FILLS, SEED))
    console.print(f"{len(learned_from)} examples")
    divisor = _cross_temperature(learned_from)
    weights, bias = (values / np.float32(divisor) for values in fitted(table_of(learned_from)))
    scale = np.abs(weights).max(0) / 127
    np.savez_compressed(
        WEIGHTS, weights=np.round(weights / scale).astype(np.int8), scale=scale.astype(np.float32), bias=bias
    )
    console.print(f"temperature {divisor:.2f}; {WEIGHTS.stat().st_size / 1e3:.0f} kB written to {WEIGHTS.name}")


def _cross_temperature(learned_from: list[Example]) -> float:
    """Found on templates that were left out of training, each once."""
    table = table_of(learned_from)
    fold = np.array([zlib.crc32(f"{one.language} {one.template}".encode()) % FOLDS for one in learned_from])
    scores: Floats = np.zeros((len(learned_from), len(TASK_TYPES)), np.float32)
    for left_out in range(FOLDS):
        seen = fold != left_out
        weights, bias = fitted(Table(table.rows[seen], table.types[seen]))
        scores[~seen] = table.rows[~seen] @ weights + bias
    return temperature(scores, table.types)


def main(
    files: Annotated[list[Path] | None, typer.Argument(help="Recorded answers to judge it on.")] = None,
    keep: Annotated[bool, typer.Option(help="Judge the weights that are there; do not train.")] = False,
) -> None:
    """Train the task detector, then judge it."""
    console = Console(width=150)
    if not keep:
        train(console)
    trained = TaskDetector.trained()
    show(console, "written by hand", Judged.of(held_out(), trained))
    for path in files or []:
        show(console, path.name, Judged.of(recorded(path), trained))


if __name__ == "__main__":
    typer.run(main)
