"""How long should the next try wait?"""

import random
from dataclasses import dataclass

MAX_DOUBLINGS = 30  # beyond it every sensible cap is reached, and the power would overflow


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential growth from `base_s`, doubling with each failure, never above `cap_s`."""

    base_s: float = 0.2
    cap_s: float = 5.0

    def __post_init__(self) -> None:
        if not 0.0 < self.base_s <= self.cap_s:
            raise ValueError(f"a backoff needs 0 < base_s <= cap_s, not {self.base_s} and {self.cap_s}")

    def ceiling_s(self, failures: int) -> float:
        """The longest wait in seconds after so many failures in a row (at least 1)."""
        return min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, MAX_DOUBLINGS))

    def delay_s(self, failures: int, rng: random.Random, retry_after_s: float | None = None) -> float:
        """Seconds to wait after `failures` in a row (at least 1): uniform within 0..`ceiling_s` ("full jitter").

        A backend's own wish, `retry_after_s`, is honoured whole, with up to `base_s` on top so that those who were
        refused together do not come back together. It is not capped: whether it fits is the deadline's business.
        Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        if retry_after_s is not None:
            return max(0.0, retry_after_s) + rng.uniform(0.0, self.base_s)
        return rng.uniform(0.0, self.ceiling_s(failures))
