"""How often should each of several be asked, when it is uncertain what each is worth?"""

from collections.abc import Sequence
from functools import lru_cache
from math import erf, sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REACH: Final = 8.0  # standard deviations
STEPS: Final = 4_096
POINTS: Final = 128
LEAST: Final = 1e-6  # standard deviation


class Odds(NamedTuple):
    """Which is worth most, and with which probability each shall be asked; those sum to 1."""

    best: int
    chances: Sequence[float]


@lru_cache(1_024)  # until something is learned, the odds are the same for each request
def odds(worth_01: tuple[float, ...], deviation_01: tuple[float, ...], explore_share_01: float) -> Odds:
    """Each as often as it may be the one worth most, but all others than the best together no more often than
    `explore_share_01`. `deviation_01`: the standard deviation of each worth."""
    best = max(range(len(worth_01)), key=worth_01.__getitem__)
    if explore_share_01 == 0.0:
        return Odds(best, [float(place == best) for place in range(len(worth_01))])
    chances = chances_of_being_best(np.array(worth_01), np.array(deviation_01))
    return Odds(best, limited(chances, best, explore_share_01).tolist())


def chances_of_being_best(mean: Floats, deviation: Floats, points: int = POINTS) -> Floats:
    """With which probability each of several independent normal variables is the greatest; sums to 1.

    Choosing with these probabilities is Thompson sampling, with propensities that can be logged. `points`: how many
    equally likely values of each variable are looked at; the error is below one part in so many.
    Source: Thompson 1933, https://doi.org/10.1093/biomet/25.3-4.285
    """
    deviation = np.maximum(deviation, LEAST)
    drawn = mean[:, None] + deviation[:, None] * _quantiles(points)  # a row per arm that might be the best
    below = _normal((drawn[:, None, :] - mean[None, :, None]) / deviation[None, :, None])
    itself = np.arange(len(mean))
    below[itself, itself] = 1.0
    chances = below.prod(1).mean(1)
    return np.asarray(chances / chances.sum())


def limited(chances: Floats, best: int, explore_share_01: float) -> Floats:
    """The same, with at most `explore_share_01` for all but the best arm together."""
    explored = 1.0 - chances[best]
    if explored <= explore_share_01:
        return chances
    chances = chances * (explore_share_01 / explored)
    chances[best] = 1.0 - explore_share_01
    return chances


_GRID: Final = np.linspace(-REACH, REACH, STEPS)
_TABLE: Final = np.array([0.5 * (1.0 + erf(z / sqrt(2))) for z in _GRID])


def _normal(z: Floats) -> Floats:
    """The normal distribution function, to five digits."""
    return np.asarray(np.interp(z, _GRID, _TABLE))


@lru_cache
def _quantiles(points: int) -> Floats:
    return np.interp((np.arange(points) + 0.5) / points, _TABLE, _GRID)
