"""What shall a learned model weigh: how good answers are, what they cost, how long they take?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from actors.protocol.sending import Sendable


@dataclass(frozen=True, slots=True)
class Preference(Sendable):
    """Weights of at least 0, not all 0; only their proportion counts."""

    quality: float = 0.0
    cost: float = 0.0
    latency: float = 0.0

    @property
    def is_for_quality_alone(self) -> bool:
        """Whether neither price nor speed counts."""
        return not self.cost and not self.latency

    @property
    def quality_share_01(self) -> float:
        """For how much of a worth quality counts."""
        return self.quality / (self.quality + self.cost + self.latency)

    def worth_01(self, quality_01: float, cost_01: float, latency_01: float) -> float:
        """The weighted mean of quality, cheapness and speed, 0..1, higher is better.

        `cost_01` and `latency_01` are shares of what the dearest and the slowest of the alternatives take.
        """
        worth = self.quality * quality_01 + self.cost * (1.0 - cost_01) + self.latency * (1.0 - latency_01)
        return worth / (self.quality + self.cost + self.latency)


PREFERENCES: Final[Mapping[str, Preference]] = {
    "quality": Preference(quality=1.0),
    "cheap": Preference(quality=0.8, cost=0.2),
    "fast": Preference(quality=0.8, latency=0.2),
}
FOR_QUALITY: Final = PREFERENCES["quality"]
