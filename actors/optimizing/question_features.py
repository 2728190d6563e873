"""What does a question look like, as numbers from which the quality of an answer can be predicted?"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actors.protocol.tasks import TASK_TYPES, UNKNOWN_TASK

Floats = NDArray[np.float64]

WORDS: Final = 256  # places for letters as they follow each other
SHAPES: Final = 128  # places for the kinds of characters as they follow each other
PLAIN: Final = 9
TASKS: Final = TASK_TYPES.index(UNKNOWN_TASK)
SIZE: Final = PLAIN + WORDS + SHAPES + TASKS

HEAD_BYTES: Final = 600
TAIL_BYTES: Final = 300
SHAPE_WEIGHT: Final = 2.0  # how a question is written down says more about its kind than which words are in it

_LOWER: Final = np.array([byte + 32 if 65 <= byte <= 90 else byte for byte in range(256)], np.uint8)
_SHAPE: Final = np.array(
    [
        ord("a") if chr(byte).islower() and byte < 128
        else ord("A") if chr(byte).isupper() and byte < 128
        else ord("9") if 48 <= byte <= 57
        else 200 if byte >= 128
        else byte
        for byte in range(256)
    ],
    np.uint8,
)  # fmt: skip


def question_features(text: str, task_permille: Sequence[int] = ()) -> Floats:
    """A vector of `SIZE` numbers, the same for the same text in every process; no text can be read out of it.

    Length, lines, shares of digits, capitals and other scripts, how it ends; then hashed n-grams of its letters (3 to
    5), and of its kinds of characters with repetitions left out (1, 2, 4), each block a unit vector of signed square
    roots of counts; then how probable each type of task is, where `task_permille` (as in a `TaskGuess`) says it. Of a
    long text the first 600 and last 300 bytes count.
    Source: feature hashing, Weinberger et al. 2009, https://arxiv.org/abs/0902.2206
    """
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > HEAD_BYTES + TAIL_BYTES:
        encoded = encoded[:HEAD_BYTES] + b" " + encoded[-TAIL_BYTES:]
    raw = np.frombuffer(b"  " + encoded + b"   ", np.uint8)
    shape = _SHAPE[raw]
    changes = np.concatenate([[True], shape[1:] != shape[:-1]])
    return np.concatenate(
        [
            _plain(text, raw),
            _hashed(_LOWER[raw], (3, 4, 5), WORDS),
            SHAPE_WEIGHT * _hashed(shape[changes], (1, 2, 4), SHAPES),
            np.array(task_permille[:TASKS]) / 1000 if task_permille else np.zeros(TASKS),
        ]
    )


def task_shares(features: Floats) -> Floats:
    """Of one question's features, or of a row per question: how probable each type of task is, 0..1."""
    return features[..., -TASKS:]


def _plain(text: str, raw: NDArray[np.uint8]) -> Floats:
    length = (np.log1p(len(text)) - 5.0) / 1.5
    end = text.rstrip()[-1:]

    def share(lowest: int, highest: int) -> float:
        return float(np.count_nonzero((raw >= lowest) & (raw <= highest))) / len(raw)

    lines = min(2.0, np.log1p(text.count("\n")) / 2)
    kinds = (4 * share(48, 57), 4 * share(65, 90), 2 * share(128, 255))
    return np.array([1.0, length, length**2 - 0.7, lines, *kinds, float(end == "?"), float(end == ".")])


def _hashed(units: NDArray[np.uint8], sizes: tuple[int, ...], places: int) -> Floats:
    grams = np.concatenate([_grams(units.astype(np.uint32), size) for size in sizes if size <= len(units)])
    counts = np.bincount(grams % places, weights=1.0 - 2.0 * ((grams >> 20) & 1), minlength=places)
    damped = np.sign(counts) * np.sqrt(np.abs(counts))
    return np.asarray(damped / (np.linalg.norm(damped) + 1e-9))


def _grams(units: NDArray[np.uint32], size: int) -> NDArray[np.uint32]:
    """A hash of each run of `size` units: FNV-1a, its bits mixed once more as in MurmurHash3."""
    last = len(units) - size + 1
    found = np.full(last, size * 7919, np.uint32)
    for place in range(size):
        found = (found ^ units[place : last + place]) * np.uint32(16_777_619)
    found ^= found >> 15
    found *= np.uint32(0x85EBCA6B)
    found ^= found >> 13
    return found
