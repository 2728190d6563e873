"""Which requests take longer than nearly all others lately?"""

import math
from typing import Final

from actors.tracing.histogram import RELATIVE_ERROR_01, Histogram

SLOW_SHARE_01: Final = 0.01
OF_REQUESTS: Final = 1_000  # from so many on, the slowest hundredth of them says what is slow


class Slowness:
    """Learns what is usual. A request is slow above `above_ms`, which is infinite until enough were seen."""

    def __init__(self) -> None:
        self.above_ms = math.inf
        self._lately = Histogram()

    def learn(self, latency: Histogram) -> None:
        """Takes the latencies of further requests."""
        self._lately.merge(latency)
        if self._lately.count >= OF_REQUESTS:
            slow_ms = self._lately.quantile(1.0 - SLOW_SHARE_01) or 0.0
            self.above_ms = slow_ms / (1.0 - RELATIVE_ERROR_01)  # the upper end of its bucket: where all take the same
            self._lately = Histogram()
