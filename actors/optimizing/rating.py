"""How good are each backend's answers, for each type of task, as feedback has it lately?"""

from collections.abc import Iterable, Mapping
from typing import Final

from actors.protocol.messages import JsonObject
from actors.protocol.ratings import UNRATED, Rating, Verdict
from actors.protocol.tasks import ANY_TASK

LATEST: Final = 2_000
HALF_LIFE: Final = 500.0  # judgements after which one counts half
PRIOR: Final = 2.0  # judgements' worth of belief in a quality of 0.5


AGREEMENT_COUNTS: Final = 0.1  # of a judgement
AGREEMENT_MOST: Final = 10.0  # judgements' worth


def rated(verdicts: Iterable[Verdict], agreements: Iterable[Verdict] = ()) -> dict[str, dict[str, Rating]]:
    """Per type of task, and for `ANY_TASK`, a rating for each backend that was judged. The newest comes first.

    `agreements`: what ensembles taught of their members; ten of them count as one judgement, and all of them together
    as ten at most.
    """
    sums = _sums(verdicts)
    for arm, (agreed, votes) in _sums(agreements).items():
        good, all_ = sums.get(arm, (0.0, 0.0))
        worth = min(AGREEMENT_MOST, AGREEMENT_COUNTS * votes)
        sums[arm] = good + worth * agreed / votes, all_ + worth
    found: dict[str, dict[str, Rating]] = {}
    for (task, backend), (good, all_) in sorted(sums.items()):
        quality_01 = (good + PRIOR * UNRATED.quality_01) / (all_ + PRIOR)
        found.setdefault(task, {})[backend] = Rating(quality_01, all_)
    return found


def _sums(verdicts: Iterable[Verdict]) -> dict[tuple[str, str], tuple[float, float]]:
    """Per type of task and backend the rewards and how many there were, old ones counting less."""
    sums: dict[tuple[str, str], tuple[float, float]] = {}
    for age, verdict in enumerate(verdicts):
        counts = 0.5 ** (age / HALF_LIFE)
        for task in (verdict.task_type, ANY_TASK):
            good, all_ = sums.get((task, verdict.backend), (0.0, 0.0))
            sums[task, verdict.backend] = good + counts * verdict.reward_01, all_ + counts
    return sums


def ratings_json(ratings: Mapping[str, Mapping[str, Rating]]) -> JsonObject:
    """For reports: quality with its 95 % interval, and how much feedback is behind it, old one counting less."""
    return {
        task: {
            backend: {
                "quality_01": round(one.quality_01, 4),
                "low_01": round(max(0.0, one.quality_01 - one.reach_01), 4),
                "high_01": round(min(1.0, one.quality_01 + one.reach_01), 4),
                "judgements": round(one.judgements, 1),
            }
            for backend, one in backends.items()
        }
        for task, backends in ratings.items()
    }
