"""Which backends have become better or worse, as judgements show, and what still holds of them?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from actors.optimizing.change_detection import ChangeDetector
from actors.protocol.messages import JsonObject
from actors.protocol.ratings import Seen, Verdict

BORROWED: Final = 10.0  # judgements on all types of task that count for one of which little is known
PRIOR: Final = 2.0  # judgements' worth of belief in a quality of 0.5


@dataclass(frozen=True, slots=True)
class Change:
    """`before_01`: the mean reward until then; `after_01`: since then, until it was noticed. `at_s`: when it was
    noticed, in seconds since 1970. `judgements`: after how many it was noticed."""

    backend: str
    at_s: float
    before_01: float
    after_01: float
    judgements: int

    def as_json(self) -> JsonObject:
        return {
            "backend": self.backend,
            "at_s": round(self.at_s, 3),
            "before_01": round(self.before_01, 4),
            "after_01": round(self.after_01, 4),
            "judgements": self.judgements,
        }


def since_changes(seen: Sequence[Seen]) -> tuple[list[Seen], list[Change]]:
    """The judgements that still hold, newest first as they came, and the changes, oldest first.

    A function of the judgements alone, so that nothing else needs to be kept: they are gone through from the oldest to
    the newest, and what each backend was expected to get is compared with what it got. That is what was predicted of
    its answer to the question where something was: a backend that gets the questions which suit it has not become
    better. What was judged before a backend changed holds no longer.
    """
    judged: dict[str, _Judged] = {}
    changes: list[Change] = []
    verdicts = [one.verdict for one in seen]
    for place in range(len(verdicts) - 1, -1, -1):
        verdict, predicted_01 = verdicts[place], seen[place].predicted_01
        one = judged.setdefault(verdict.backend, _Judged())
        expected_01 = one.expected_01(verdict.task_type) if predicted_01 is None else predicted_01
        age = one.detector.changed_since(verdict.reward_01 - expected_01)
        one.take(place, verdict)
        if age is not None and age < len(one.places):
            changes.append(one.change(age, verdict, verdicts))
            judged[verdict.backend] = one.since(age, verdicts)
    held = sorted(place for one in judged.values() for place in one.places)
    return [seen[place] for place in held], changes


class _Judged:
    """What was judged of one backend since it last changed."""

    def __init__(self) -> None:
        self.detector = ChangeDetector()
        self.places: list[int] = []
        self._good: dict[str, float] = {}
        self._all: dict[str, int] = {}

    def take(self, place: int, verdict: Verdict) -> None:
        self.places.append(place)
        self._good[verdict.task_type] = self._good.get(verdict.task_type, 0.0) + verdict.reward_01
        self._all[verdict.task_type] = self._all.get(verdict.task_type, 0) + 1

    def expected_01(self, task_type: str) -> float:
        overall_01 = (sum(self._good.values()) + PRIOR / 2) / (len(self.places) + PRIOR)
        return (self._good.get(task_type, 0.0) + BORROWED * overall_01) / (self._all.get(task_type, 0) + BORROWED)

    def change(self, age: int, last: Verdict, verdicts: Sequence[Verdict]) -> Change:
        before, after = self.places[:-age], self.places[-age:]
        return Change(last.backend, last.at_s, _mean(before, verdicts), _mean(after, verdicts), age)

    def since(self, age: int, verdicts: Sequence[Verdict]) -> "_Judged":
        """The same, with the last `age` judgements alone."""
        after = _Judged()
        for place in self.places[-age:]:
            after.take(place, verdicts[place])
        return after


def _mean(places: Sequence[int], verdicts: Sequence[Verdict]) -> float:
    return sum(verdicts[place].reward_01 for place in places) / len(places)
