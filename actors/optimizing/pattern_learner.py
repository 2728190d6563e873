"""How much does each way of putting a question gain, as far as what was judged tells?"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from actors.protocol.messages import JsonObject
from actors.protocol.patterns import PLAIN, Gain, Gains, Trial

LATEST: Final = 10_000
HALF_LIFE: Final = 500.0  # trials of the same pattern, backend and type of task, after which one counts half
ERROR_01: Final = 0.05  # how often a true gain may be beyond one end of its interval, at any time
EARLY: Final = 5.0  # the number of trials, about, after which intervals are tightest for what they promise
PRIOR: Final = 2.0  # trials' worth of belief that nothing is gained, and that rewards are those of fair coins
COIN: Final = 0.25  # the variance of one


def gains(trials: Iterable[Trial]) -> Gains:
    """Per backend, type of task and pattern, the gain over `plain`. The newest trial comes first.

    Two estimates are combined, each weighted by how sure it is: the mean difference of answers to the same question,
    and the difference of the mean rewards of questions that were asked in the one way or the other.
    """
    pairs: dict[tuple[str, str, str], _Sum] = defaultdict(_Sum)
    alone: dict[tuple[str, str, str], _Sum] = defaultdict(_Sum)
    newer: dict[tuple[str, str, str], int] = defaultdict(int)
    for trial in trials:
        arm = trial.backend, trial.task_type, trial.pattern
        counts = 0.5 ** (newer[arm] / HALF_LIFE)
        newer[arm] += 1
        if trial.plain_01 is not None:
            pairs[arm].add(trial.reward_01 - trial.plain_01, counts)
        else:
            alone[arm].add(trial.reward_01, counts)
    found: dict[str, dict[str, dict[str, Gain]]] = {}
    for backend, task_type, pattern in sorted({*pairs, *alone}):
        if pattern == PLAIN:
            continue
        estimates = [_of_pairs(pairs[backend, task_type, pattern])]
        plainly = alone[backend, task_type, PLAIN]
        estimates.append(_of_two(alone[backend, task_type, pattern], plainly))
        if (gain := _combined([one for one in estimates if one is not None])) is not None:
            found.setdefault(backend, {}).setdefault(task_type, {})[pattern] = gain
    return found


def gains_json(learned: Gains, delta: float) -> JsonObject:
    """For reports: each gain, and whether the pattern is held to be not worse than `plain` by more than `delta`."""
    return {
        backend: {
            task: {name: gain.as_json() | {"safe": gain.low >= -delta} for name, gain in patterns.items()}
            for task, patterns in tasks.items()
        }
        for backend, tasks in learned.items()
    }


@dataclass(slots=True)
class _Sum:
    n: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float, counts: float) -> None:
        self.n += counts
        self.total += counts * value
        self.squares += counts * value * value

    def mean(self, prior: float) -> float:
        return (self.total + PRIOR * prior) / (self.n + PRIOR)

    def variance(self, prior: float, spread: float) -> float:
        """Of one value, as if `PRIOR` values had been seen that spread by `spread` around the prior mean."""
        around = self.squares - self.n * (self.total / self.n) ** 2 if self.n else 0.0
        return (max(0.0, around) + PRIOR * spread) / (self.n + PRIOR)


@dataclass(frozen=True, slots=True)
class _Estimate:
    gain: float
    variance: float
    trials: float


def _of_pairs(differences: _Sum) -> _Estimate | None:
    if not differences.n:
        return None
    variance = differences.variance(0.0, 2 * COIN) / (differences.n + PRIOR)
    return _Estimate(differences.mean(0.0), variance, differences.n)


def _of_two(rewritten: _Sum, plainly: _Sum) -> _Estimate | None:
    if not rewritten.n or not plainly.n:
        return None
    variance = sum(one.variance(0.5, COIN) / (one.n + PRIOR) for one in (rewritten, plainly))
    return _Estimate(rewritten.mean(0.5) - plainly.mean(0.5), variance, rewritten.n)


def _combined(estimates: list[_Estimate]) -> Gain | None:
    if not estimates:
        return None
    weight = math.fsum(1.0 / one.variance for one in estimates)
    gain = math.fsum(one.gain / one.variance for one in estimates) / weight
    trials = math.fsum(one.trials for one in estimates)
    reach = reach_of(trials) / math.sqrt(weight)
    return Gain(gain, max(-1.0, gain - reach), min(1.0, gain + reach), trials)


def reach_of(trials: float) -> float:
    """How many standard errors an interval must reach to hold the true mean however often it is looked at.

    About 2.8 from ten trials to some hundred, where 1.6 would do for a single look. Source: normal mixture,
    Robbins 1970, https://doi.org/10.1214/aoms/1177696786; equation 14 of Howard et al. 2021,
    https://arxiv.org/abs/1810.08240
    """
    shifted = trials + EARLY
    return math.sqrt(shifted / trials * math.log(shifted / (EARLY * (2.0 * ERROR_01) ** 2)))
