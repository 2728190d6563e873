"""How good do each backend's answers look, and has that changed?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from actors.protocol.messages import JsonObject
from actors.protocol.outlook import Outlook
from actors.tracing.aggregates import MAX_KEYS, OTHER
from actors.tracing.drift import Change, DriftDetector

RECENT_ANSWERS: Final = 50


class Scored(Protocol):
    """How good one answer looks: `score_01`, higher is better, and what speaks against it."""

    @property
    def backend(self) -> str: ...
    @property
    def score_01(self) -> float: ...
    @property
    def flaws(self) -> Sequence[str]: ...
    @property
    def chars(self) -> int: ...


@dataclass(slots=True)
class Standing:
    """How good the answers of one backend look.

    `recent_01`: the mean of about the last 50, each older one counting a little less.
    """

    scored: int = 0
    mean_01: float = 0.0
    recent_01: float = 0.0
    mean_chars: float = 0.0
    flaws: dict[str, int] = field(default_factory=dict)
    changes: int = 0
    last_change: JsonObject | None = None
    detector: DriftDetector = field(default_factory=DriftDetector)

    def add(self, answer: Scored, now_s: float) -> Change | None:
        """Counts one answer; the change of quality that it makes certain, if it does."""
        self.scored += 1
        self.mean_01 += (answer.score_01 - self.mean_01) / self.scored
        self.mean_chars += (answer.chars - self.mean_chars) / self.scored
        self.recent_01 += (answer.score_01 - self.recent_01) / min(self.scored, RECENT_ANSWERS)
        for flaw in answer.flaws:
            self.flaws[flaw] = self.flaws.get(flaw, 0) + 1
        change = self.detector.add(answer.score_01)
        if change is not None:
            self.changes += 1
            self.last_change = {
                "at_s": round(now_s, 3),
                "before_01": round(change.before, 4),
                "after_01": round(change.after, 4),
            }
        return change

    def as_json(self) -> JsonObject:
        return {
            "scored": self.scored,
            "mean_01": round(self.mean_01, 4),
            "recent_01": round(self.recent_01, 4),
            "mean_chars": round(self.mean_chars, 1),
            "flaws": dict(sorted(self.flaws.items())),
            "changes": self.changes,
            "last_change": self.last_change,
        }


class QualityBook:
    """One entry per backend; beyond `max_backends` of them the rest is `other`."""

    def __init__(self, max_backends: int = MAX_KEYS) -> None:
        self._max_backends = max_backends
        self._by_backend: dict[str, Standing] = {}

    def add(self, answer: Scored, now_s: float) -> Change | None:
        """Counts one answer at a moment (seconds since 1970); a change of its backend's quality, if it shows one."""
        name = answer.backend
        if name not in self._by_backend and len(self._by_backend) >= self._max_backends:
            name = OTHER
        return self._by_backend.setdefault(name, Standing()).add(answer, now_s)

    def report(self) -> list[JsonObject]:
        """Each backend whose answers were looked at, in alphabetical order."""
        return [{"backend": name} | standing.as_json() for name, standing in sorted(self._by_backend.items())]

    def added_to(self, outlook: Outlook) -> Outlook:
        """The outlook with how good each backend's answers looked lately."""
        if not self._by_backend:
            return outlook
        prospects = {
            name: replace(prospect, quality_01=round(self._by_backend[name].recent_01, 4))
            if name in self._by_backend
            else prospect
            for name, prospect in outlook.prospects.items()
        }
        return replace(outlook, prospects=prospects)

    def restore(self, told: Sequence[Mapping[str, object]]) -> None:
        """Goes on from a former report; whether something changes is watched anew."""
        for row in told:
            values = {key: value for key, value in row.items() if key != "backend"}
            self._by_backend[str(row["backend"])] = Standing(**values)  # type: ignore[arg-type]  # as `as_json` wrote them
