"""Does the gateway choose better by predictions for each question than by ratings alone, as it learns?

    python -m benchmarks.predicting DATA/llmrouter_14tasks.jsonl.gz --orders 5

Each recorded question is put to the gateway's own strategy `learned`, on the routing table that its own learners would
have published by then. Feedback is the recorded score of the model that was chosen, or of all.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.recorded import RecordedGateway, Scores, load

QUARTERS = 4

console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)


@dataclass(frozen=True, slots=True)
class Way:
    """`predicts`: whether predictions are made; `hears_all`: whether feedback tells of every model."""

    title: str
    predicts: bool
    hears_all: bool


WAYS = (
    Way("ratings, the chosen model's score", False, False),
    Way("predictions, the chosen model's score", True, False),
    Way("ratings, all models' scores", False, True),
    Way("predictions, all models' scores", True, True),
)


def played(data: Scores, order: Sequence[int], way: Way, rng: random.Random) -> tuple[list[float], bool]:
    """The score of each answer in turn, and whether predictions were in use at the end."""
    gateway = RecordedGateway(data.models, rng, predicts=way.predicts)
    got = []
    for question in order:
        scores_01 = data.scores_01[question].tolist()
        chosen = gateway.choose(data.task_types[question], data.packed[question])
        got.append(scores_01[chosen])
        for arm in range(len(scores_01)) if way.hears_all else [chosen]:
            gateway.judge(arm, scores_01[arm], every=way.hears_all)
    return got, gateway.predictions_in_use


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--orders", type=int, default=5, help="random orders of the questions, with seeds 0, 1, ...")
    arguments = parser.parse_args()
    data = load(arguments.data)
    best_01 = data.scores_01[:, data.scores_01.mean(0).argmax()]
    gained: dict[Way, list[list[float]]] = {way: [] for way in WAYS}
    in_use: dict[Way, int] = dict.fromkeys(WAYS, 0)
    for seed in track(range(arguments.orders), console=console):
        order = random.Random(seed).sample(range(len(best_01)), len(best_01))
        for way in WAYS:
            got, used = played(data, order, way, random.Random(seed))
            in_use[way] += used
            parts = np.array_split(100 * (np.array(got) - best_01[order]), QUARTERS)
            gained[way].append([float(part.mean()) for part in parts])
    table = Table(
        "points above the best single model", *(f"quarter {n + 1}" for n in range(QUARTERS)), "in use at the end"
    )
    for way, orders in gained.items():
        cells = []
        for quarter in zip(*orders, strict=True):
            reach = 1.96 * stdev(quarter) / len(quarter) ** 0.5 if len(quarter) > 1 else float("nan")
            cells.append(f"{fmean(quarter):+.2f} ± {reach:.2f}")
        table.add_row(way.title, *cells, f"{in_use[way]} of {arguments.orders}" if way.predicts else "")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
