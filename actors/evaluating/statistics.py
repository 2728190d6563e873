"""Is one strategy better than another, or was it luck, and do its confidences mean what they say?"""

import random
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

RESAMPLES = 1_000
BINS = 10


class Interval(NamedTuple):
    """A mean, and between which bounds it lies with a probability of 95 %."""

    mean: float
    low: float
    high: float


def paired_bootstrap(differences: Sequence[float], rng: random.Random, resamples: int = RESAMPLES) -> Interval:
    """The mean of paired differences, one per question, with its 95 % percentile interval.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, section 13.3. Raises `ValueError` for none.
    """
    if not differences:
        raise ValueError("An interval needs at least one difference.")
    n = len(differences)
    means = sorted(sum(rng.choices(differences, k=n)) / n for _ in range(resamples))
    return Interval(fmean(differences), means[int(0.025 * resamples)], means[int(0.975 * resamples) - 1])


def paired_gain(
    one: Sequence[float], other: Sequence[float], rng: random.Random, resamples: int = RESAMPLES
) -> Interval:
    """The relative gain of the first mean over the second, minus 1, with its 95 % percentile interval over pairs.

    Both hold one number of at least 0 per question. A mean of 0 is taken as no gain. Raises `ValueError` for none.
    """
    if not one:
        raise ValueError("An interval needs at least one pair.")
    pairs = list(zip(one, other, strict=True))

    def ratio(chosen: Sequence[tuple[float, float]]) -> float:
        base = sum(pair[1] for pair in chosen)
        return sum(pair[0] for pair in chosen) / base - 1 if base else 0.0

    gains = sorted(ratio(rng.choices(pairs, k=len(pairs))) for _ in range(resamples))
    return Interval(ratio(pairs), gains[int(0.025 * resamples)], gains[int(0.975 * resamples) - 1])


class Told(NamedTuple):
    """How sure a strategy was, and whether it was right."""

    confidence_01: float
    right: bool


def brier(told: Sequence[Told]) -> float | None:
    """The mean square of confidence against outcome, 0..1, lower is better; `None` where nothing was told.

    Source: Brier 1950, https://en.wikipedia.org/wiki/Brier_score
    """
    return fmean((one.confidence_01 - one.right) ** 2 for one in told) if told else None


def reliability(told: Sequence[Told], bins: int = BINS) -> list[tuple[float, float, int]]:
    """Per bin of equal width that is not empty: mean confidence, share right, how many."""
    found: dict[int, list[Told]] = {}
    for one in told:
        found.setdefault(min(bins - 1, int(one.confidence_01 * bins)), []).append(one)
    return [
        (fmean(one.confidence_01 for one in group), fmean(one.right for one in group), len(group))
        for _, group in sorted(found.items())
    ]


def expected_calibration_error(told: Sequence[Told], bins: int = BINS) -> float | None:
    """The mean distance between confidence and share right over bins, weighted by their sizes, 0..1.

    Source: Naeini et al. 2015, https://doi.org/10.1609/aaai.v29i1.9602
    """
    if not told:
        return None
    return sum(abs(sure - right) * size for sure, right, size in reliability(told, bins)) / len(told)
