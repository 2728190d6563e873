"""How are the task detector's weights found?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actors.optimizing.tasks.ngrams import PLACES, looked_at, ngrams
from actors.protocol.tasks import TASK_TYPES
from training.task_types.questions import Example

Floats = NDArray[np.float32]

PASSES: Final = 8
BATCH: Final = 512
STEP: Final = 0.02
DECAY: Final = 2e-6
TEMPERATURES: Final = np.arange(0.3, 3.01, 0.05)


@dataclass(frozen=True, slots=True)
class Table:
    """Examples as numbers: a row of n-gram counts each, and the place of its type."""

    rows: Floats
    types: NDArray[np.intp]


def table_of(examples: Sequence[Example]) -> Table:
    """What is learned from."""
    rows = np.zeros((len(examples), PLACES), np.float32)
    for row, example in zip(rows, examples, strict=True):
        np.add.at(row, *ngrams(looked_at(example.text)))
    return Table(rows, np.array([TASK_TYPES.index(example.task_type) for example in examples]))


def fitted(table: Table, seed: int = 0) -> tuple[Floats, Floats]:
    """Weights and bias of a multinomial logistic regression, rare types weighed up by the root of their rareness.

    Adam with a falling step: Kingma and Ba 2015, https://arxiv.org/abs/1412.6980. It stops early; that, more than the
    decay of weights, keeps it from learning templates by heart.
    """
    counts = np.bincount(table.types, minlength=len(TASK_TYPES))
    importance = (1.0 / np.sqrt(np.maximum(counts, 1)))[table.types].astype(np.float32)
    wanted = np.eye(len(TASK_TYPES), dtype=np.float32)[table.types]
    values = np.zeros((table.rows.shape[1] + 1, len(TASK_TYPES)), np.float32)  # the last row is the bias
    mean, square = np.zeros_like(values), np.zeros_like(values)
    rng = np.random.default_rng(seed)
    steps = 0
    for done in range(PASSES):
        order = rng.permutation(len(table.types))
        for begin in range(0, len(order), BATCH):
            chosen = order[begin : begin + BATCH]
            rows, weights = table.rows[chosen], importance[chosen]
            wrong = (softmax(rows @ values[:-1] + values[-1]) - wanted[chosen]) * (weights / weights.sum())[:, None]
            slope = np.vstack([rows.T @ wrong + DECAY * values[:-1], wrong.sum(0)])
            steps += 1
            mean = 0.9 * mean + 0.1 * slope
            square = 0.99 * square + 0.01 * slope**2
            rate = STEP * (1 - done / PASSES)
            values -= rate * (mean / (1 - 0.9**steps)) / (np.sqrt(square / (1 - 0.99**steps)) + 1e-6)
    return values[:-1], values[-1]


def temperature(scores: Floats, types: NDArray[np.intp]) -> float:
    """What scores are divided by so that probabilities are right on examples that were not learned from.

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599
    """

    def loss(divisor: float) -> float:
        return float(-np.log(softmax(scores / divisor)[np.arange(len(types)), types] + 1e-12).mean())

    return float(min(TEMPERATURES, key=loss))


def softmax(scores: Floats) -> Floats:
    """Along the last axis."""
    chances = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(chances / chances.sum(-1, keepdims=True))
