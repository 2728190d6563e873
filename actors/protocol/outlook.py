"""What could be expected of each backend when a request was decided?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from actors.protocol.sending import Sendable
from actors.protocol.trust import Trust


@dataclass(frozen=True, slots=True)
class Prospect(Sendable):
    """One backend as the routing table showed it.

    `state` is its breaker's, or `revoked`; `weight` what its word counted, configured times learned, at least 0;
    `per_mtok_usd` its price for a million input and output tokens, `None` where none is known. Latencies are those
    measured lately, of whole calls; `quality_01` is how good its answers looked lately, higher is better.
    """

    state: str
    weight: float
    error_rate_01: float
    per_mtok_usd: tuple[float, float] | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    quality_01: float | None = None

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """What a call of so many tokens costs; `None` without a price."""
        if self.per_mtok_usd is None:
            return None
        per_input, per_output = self.per_mtok_usd
        return (prompt_tokens * per_input + completion_tokens * per_output) / 1e6


@dataclass(frozen=True, slots=True)
class Outlook(Sendable):
    """What one version of the routing table let one expect.

    `leaves`: per model, the backends behind it, in order. `trust`: per ensemble, per task type, what feedback had
    taught about its members.
    """

    version: int
    prospects: Mapping[str, Prospect] = field(default_factory=dict)
    leaves: Mapping[str, Sequence[str]] = field(default_factory=dict)
    trust: Mapping[str, Mapping[str, Trust]] = field(default_factory=dict)
