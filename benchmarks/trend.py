"""Does a series of measurements grow?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

LEAST_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Trend:
    """The slope of a straight line through measurements, per unit of x, and the ends of its 95 % interval."""

    slope: float
    low: float
    high: float

    @property
    def may_be_flat(self) -> bool:
        """Whether a slope of 0 is within the interval, or the series falls."""
        return self.low <= 0.0

    def scaled(self, factor: float) -> "Trend":
        """The same per another unit of x: `factor` units of the old one."""
        return Trend(self.slope * factor, self.low * factor, self.high * factor)


def trend(x: Sequence[float], y: Sequence[float]) -> Trend:
    """The least-squares slope of y over x. Raises `ValueError` for fewer than 3 points or for x that are all alike.

    The interval takes deviations to be independent; samples of memory are not quite, so that it is rather too narrow.
    Source: Student's t interval of a regression slope, https://en.wikipedia.org/wiki/Simple_linear_regression
    """
    if len(x) != len(y) or len(x) < LEAST_SAMPLES:
        raise ValueError(f"a trend needs at least {LEAST_SAMPLES} points, and as many y as x")
    mean_x, mean_y = fmean(x), fmean(y)
    spread = sum((one - mean_x) ** 2 for one in x)
    if spread == 0.0:
        raise ValueError("a trend needs points at different x")
    slope = sum((one - mean_x) * (other - mean_y) for one, other in zip(x, y, strict=True)) / spread
    residuals = [other - mean_y - slope * (one - mean_x) for one, other in zip(x, y, strict=True)]
    freedom = len(x) - 2
    error = math.sqrt(sum(residual**2 for residual in residuals) / freedom / spread)
    reach = student_t(freedom) * error
    return Trend(slope, slope - reach, slope + reach)


def student_t(freedom: int) -> float:
    """How many standard errors a two-sided 95 % interval reaches, for so many degrees of freedom (at least 1).

    Exact for 1 and 2, within 1 % above. Source: Abramowitz and Stegun 1964, 26.7.5 (expansion in 1/freedom).
    """
    if freedom == 1:
        return 12.7062
    if freedom == 2:
        return 4.3027
    z = NormalDist().inv_cdf(0.975)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / freedom + g2 / freedom**2 + g3 / freedom**3 + g4 / freedom**4
