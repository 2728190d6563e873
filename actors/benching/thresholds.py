"""Is the gateway as fast as it is meant to be?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from actors.benching.results import Results, Spread

OURS = "troupe"
BARE, PORTKEY, LITELLM = "bare-replica", "portkey", "litellm"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bound on a figure of our gateway, or on its ratio to another contestant's where `to` names one.

    `added`: the ratio is that of what both add to the upstream.
    """

    claim: str
    case: str
    figure: str
    bound: float
    side: Literal["at least", "at most"] = "at most"
    to: str | None = None
    added: bool = False

    def found(self, results: Results) -> Spread | None:
        """What was measured; `None` when it was not."""
        if self.to is None:
            return results.value(OURS, self.case, self.figure)
        return results.ratio(OURS, self.to, self.case, self.figure, self.added)

    def holds(self, median: float) -> bool:
        return median >= self.bound if self.side == "at least" else median <= self.bound


THRESHOLDS: Sequence[Threshold] = (
    Threshold("64 connections: requests/s over Portkey's", "c64", "per_s", 2.0, "at least", PORTKEY),
    Threshold("64 connections: requests/s over LiteLLM's", "c64", "per_s", 20.0, "at least", LITELLM),
    Threshold("64 connections: requests/s over the bare replica's", "c64", "per_s", 0.65, "at least", BARE),
    Threshold("1 connection: p50 over Portkey's", "c1", "p50_ms", 0.9, to=PORTKEY),
    Threshold("1 connection: p99 over Portkey's", "c1", "p99_ms", 1.0, to=PORTKEY),
    Threshold("streams: added lag over the bare replica's", "streams", "lag_p50_ms", 1.5, to=BARE, added=True),
    Threshold("streams: added time to first chunk over the same", "streams", "first_p50_ms", 1.5, to=BARE, added=True),
    *(
        Threshold(f"streams: CPU per chunk over {name}'s{what}", "streams", figure, 1.0, to=peer)
        for what, figure in (("", "cpu_us_per_chunk"), (", both without that at rest", "cpu_us_per_chunk_above_rest"))
        for name, peer in (("Portkey", PORTKEY), ("LiteLLM", LITELLM))
    ),
    Threshold("ensemble of 3, 64 connections: CPU over a single request's", "ensemble", "cpu_times_single", 2.5),
    Threshold("ensemble of 3, 1 connection: p50 over a single request's", "ensemble-c1", "p50_times_single", 2.5),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A threshold, or another demand, and what became of it; `passed` is `None` where it was not measured."""

    claim: str
    demand: str
    found: Spread | None
    passed: bool | None


def verdicts(results: Results, thresholds: Sequence[Threshold] = THRESHOLDS) -> list[Verdict]:
    """Each threshold, and that our gateway failed no request, judged by medians."""
    judged = [_judged(threshold, results) for threshold in thresholds]
    if not any(row.contestant == OURS for row in results.rows):
        return [*judged, Verdict("errors in any case", "exactly 0", None, None)]
    errors = float(results.errors(OURS))
    return [*judged, Verdict("errors in any case", "exactly 0", Spread(errors, errors, errors), errors == 0)]


def _judged(threshold: Threshold, results: Results) -> Verdict:
    found = threshold.found(results)
    passed = None if found is None else threshold.holds(found.median)
    return Verdict(threshold.claim, f"{threshold.side} {threshold.bound:g}", found, passed)
