"""Which way of putting a question is taken, so that hardly anything is lost while the best one is found?"""

from collections.abc import Mapping, Sequence
from typing import Final

from actors.protocol.patterns import PLAIN, UNTRIED, Gain

MOST_EXPLORED_01: Final = 0.1
PLAIN_SHARE_01: Final = 0.1
"""Of the requests for which another pattern is best, so many are asked plainly, to go on comparing."""


def is_safe(gain: Gain, delta: float) -> bool:
    """Whether a pattern is held to be not worse than `plain` by more than `delta`."""
    return gain.low >= -delta


def chances(patterns: Sequence[str], gains: Mapping[str, Gain], delta: float) -> dict[str, float]:
    """With which probability each of the patterns, and `plain`, is taken; they sum to 1, and can be logged as they are.

    The best one by its mean gain is taken among those that are safe, else `plain`. The others are tried now and then:
    so rarely that if all of them were as bad as their lower bounds say, a request would be expected to lose no more
    than `delta` against `plain`. Those that are held to be worse than `plain` are not tried.
    After conservative bandits (Wu et al. 2016, https://arxiv.org/abs/1602.04282), where each request must keep within
    what there all of them together must.
    """
    known = {name: gains.get(name, UNTRIED) for name in patterns}
    safe = [name for name, gain in known.items() if is_safe(gain, delta) and gain.gain > 0.0]
    best = max(safe, key=lambda name: known[name].gain, default=PLAIN)
    open_ = [name for name, gain in known.items() if name != best and gain.high > 0.0]
    may_lose = delta + min(0.0, known[best].low) if best != PLAIN else delta
    share = {name: _tried(known[name], may_lose, delta, len(open_)) for name in open_}
    if best != PLAIN:
        share[PLAIN] = PLAIN_SHARE_01
    share[best] = 1.0 - sum(share.values())
    return share


def trials_beside(patterns: Sequence[str], gains: Mapping[str, Gain]) -> list[str]:
    """Which of the patterns are worth asking beside a request, where no caller depends on them: all but those that
    are held to be worse than `plain`."""
    return [name for name in patterns if gains.get(name, UNTRIED).high > 0.0]


def _tried(gain: Gain, may_lose: float, delta: float, n: int) -> float:
    loss = max(-gain.low, delta)
    return min(may_lose / loss if loss > 0.0 else 1.0, MOST_EXPLORED_01) / n
