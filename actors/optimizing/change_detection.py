"""Has a model become better or worse than it was?"""

from typing import Final

DRIFT: Final = 0.1  # of the mean, which is not worth an alarm
ALARM: Final = 12.0  # rewards' worth of surprise in one direction beyond it


class ChangeDetector:
    """Page's cumulative sums of surprises (reward minus prediction, -1..1), one for each direction.

    Source: Page 1954, https://doi.org/10.1093/biomet/41.1-2.100
    """

    def __init__(self) -> None:
        self._sums = [0.0, 0.0]
        self._lengths = [0, 0]

    def changed_since(self, surprise: float) -> int | None:
        """Takes the next surprise; how many surprises ago the change began, at least 1, if there was one."""
        for side, sign in enumerate((1.0, -1.0)):
            self._sums[side] = max(0.0, self._sums[side] + sign * surprise - DRIFT)
            self._lengths[side] = self._lengths[side] + 1 if self._sums[side] > 0.0 else 0
            if self._sums[side] > ALARM:
                age = self._lengths[side]
                self._sums, self._lengths = [0.0, 0.0], [0, 0]
                return age
        return None
