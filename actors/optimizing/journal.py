"""What was ever learned from? A durable record of outcomes and feedback in one SQLite file."""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import orjson

from actors.optimizing.schema import NewerFile, connect, is_corruption, is_sound, migrate
from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.errors import OptimizerError
from actors.protocol.messages import DecisionRecord, EnsembleReport, Feedback, JsonObject

log = logging.getLogger("troupe.journal")

OUTCOMES_KEPT: Final = 10_000
SIDE_FILES: Final = ("-wal", "-shm")

Receipt = Literal["new", "repeated", "replaced", "unknown_request"]
"""What became of a feedback; `repeated`: it said what was known, `replaced`: it took the place of an earlier one."""

_Arm = tuple[str, str, str, str]
"""Task type, backend ('' for none), strategy, pattern."""


class JournalDamaged(OptimizerError):
    """The file broke while it was in use; opening it again sets it aside."""


@dataclass(frozen=True, slots=True)
class OutcomeTotal:
    """Everything that ever happened to one arm, evicted outcomes included."""

    task_type: str
    backend: str | None
    strategy: str
    pattern: str
    count: int
    ok: int
    cancelled: int
    ok_latency_ms_sum: float
    cost_usd_sum: float
    correct: int
    incorrect: int
    scored: int
    score_01_sum: float


@dataclass(frozen=True, slots=True)
class FeedbackCounts:
    """`acknowledged`: feedback that is in the journal, replaced ones included, repeated ones once."""

    acknowledged: int
    in_force: int


class Journal:
    """The file, open. For one thread at a time; other processes may use the same file.

    The last 10,000 outcomes are kept in full, sums over all of them and every feedback for ever. All methods raise
    `OptimizerError` when the file cannot be used, and then have changed nothing.
    """

    def __init__(self, path: Path, clock: Clock = SYSTEM_CLOCK, kept: int = OUTCOMES_KEPT) -> None:
        """Opens or creates the file and its folder; a corrupt file is set aside and a fresh one started."""
        self.path = path
        self.set_aside: Path | None = None
        self._clock = clock
        self._kept = kept
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._open()
        except OSError as error:
            raise OptimizerError(f"The optimizer's state {path} cannot be used: {error.strerror or error}.") from error

    def close(self) -> None:
        """Safe to call twice."""
        self._connection.close()

    def commit(self, outcomes: Sequence[DecisionRecord], feedback: Sequence[Feedback]) -> list[Receipt]:
        """Writes both in one transaction, durable on return; one receipt per feedback, in order.

        An outcome whose request is known already is ignored, so that a batch may be sent again.
        """
        with self._transaction():
            for outcome in outcomes:
                self._add_outcome(outcome)
            receipts = [self._add_feedback(item) for item in feedback]
            self._connection.execute(
                "DELETE FROM outcomes WHERE seq <= (SELECT MAX(seq) FROM outcomes) - ?", (self._kept,)
            )
        return receipts

    def request_ids(self) -> list[str]:
        """The requests that feedback may still speak of, oldest first."""
        with self._translated():
            return [row[0] for row in self._connection.execute("SELECT request_id FROM outcomes ORDER BY seq")]

    def outcome(self, request_id: str) -> JsonObject | None:
        """The record of one of the last outcomes, without any text."""
        with self._translated():
            row = self._connection.execute("SELECT record FROM outcomes WHERE request_id = ?", (request_id,)).fetchone()
        found: JsonObject | None = None if row is None else orjson.loads(row[0])
        return found

    def totals(self) -> list[OutcomeTotal]:
        """Sums per arm, in alphabetical order."""
        with self._translated():
            rows = self._connection.execute("SELECT * FROM totals ORDER BY task_type, backend, strategy, pattern")
            return [OutcomeTotal(row[0], row[1] or None, *row[2:]) for row in rows]

    def feedback_counts(self) -> FeedbackCounts:
        """How much feedback the file holds."""
        with self._translated():
            row = self._connection.execute("SELECT COUNT(*), COALESCE(SUM(replaced = 0), 0) FROM feedback").fetchone()
        return FeedbackCounts(*row)

    # ---- writing ----

    def _add_outcome(self, outcome: DecisionRecord) -> None:
        arm: _Arm = (outcome.task_type, outcome.backend or "", outcome.strategy, outcome.pattern)
        row = (outcome.request_id, outcome.finished_at_s, *arm, _as_json(outcome))
        added = self._connection.execute(
            "INSERT OR IGNORE INTO outcomes (request_id, finished_at_s, task_type, backend, strategy, pattern, record)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            row,
        ).rowcount
        if not added:
            return
        ok = outcome.outcome == "ok"
        sums = (ok, outcome.outcome == "cancelled", outcome.latency_ms if ok else 0.0, outcome.cost_usd or 0.0)
        self._connection.execute(
            "INSERT INTO totals (task_type, backend, strategy, pattern, count, ok, cancelled, ok_latency_ms_sum,"
            " cost_usd_sum) VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " count = count + 1, ok = ok + excluded.ok, cancelled = cancelled + excluded.cancelled,"
            " ok_latency_ms_sum = ok_latency_ms_sum + excluded.ok_latency_ms_sum,"
            " cost_usd_sum = cost_usd_sum + excluded.cost_usd_sum",
            (*arm, *sums),
        )

    def _add_feedback(self, feedback: Feedback) -> Receipt:
        arm = self._connection.execute(
            "SELECT task_type, backend, strategy, pattern FROM outcomes WHERE request_id = ?", (feedback.request_id,)
        ).fetchone()
        if arm is None:
            return "unknown_request"
        earlier = self._in_force(feedback.request_id)
        if earlier == feedback:
            return "repeated"
        if earlier is not None:
            self._connection.execute(
                "UPDATE feedback SET replaced = 1 WHERE request_id = ? AND replaced = 0", (feedback.request_id,)
            )
            self._judge(arm, earlier, -1)
        self._connection.execute(
            "INSERT INTO feedback (request_id, received_at_s, correct, score_01, preferred, gold, comment, task_type,"
            " backend, strategy, pattern) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                feedback.request_id,
                self._clock.wall_s(),
                feedback.correct,
                feedback.score_01,
                feedback.preferred,
                feedback.gold,
                feedback.comment,
                *arm,
            ),
        )
        self._judge(arm, feedback, +1)
        return "new" if earlier is None else "replaced"

    def _in_force(self, request_id: str) -> Feedback | None:
        row = self._connection.execute(
            "SELECT request_id, correct, score_01, preferred, gold, comment FROM feedback"
            " WHERE request_id = ? AND replaced = 0",
            (request_id,),
        ).fetchone()
        return None if row is None else Feedback(row[0], None if row[1] is None else bool(row[1]), *row[2:])

    def _judge(self, arm: _Arm, feedback: Feedback, sign: Literal[-1, 1]) -> None:
        """Adds the judgement to its arm's sums, or takes it out again."""
        self._connection.execute(
            "UPDATE totals SET correct = correct + ?, incorrect = incorrect + ?, scored = scored + ?,"
            " score_01_sum = score_01_sum + ?"
            " WHERE task_type = ? AND backend = ? AND strategy = ? AND pattern = ?",
            (
                sign * (feedback.correct is True),
                sign * (feedback.correct is False),
                sign * (feedback.score_01 is not None),
                sign * (feedback.score_01 or 0.0),
                *arm,
            ),
        )

    # ---- the file ----

    def _open(self) -> sqlite3.Connection:
        try:
            return self._opened()
        except JournalDamaged:
            self.set_aside = _set_aside(self.path)
            log.error(
                "the optimizer's state %s is corrupt; it was set aside as %s, and learning begins anew",
                self.path,
                self.set_aside,
            )
            return self._opened()

    def _opened(self) -> sqlite3.Connection:
        with self._translated():
            connection = connect(str(self.path))
            try:
                if not is_sound(connection):
                    raise JournalDamaged(f"The optimizer's state {self.path} is corrupt.")
                migrate(connection)
            except NewerFile as newer:
                connection.close()
                message = (
                    f"The optimizer's state {self.path} is of version {newer}, which only a later release can read."
                )
                raise OptimizerError(message) from None
            except (sqlite3.Error, JournalDamaged):
                connection.close()
                raise
            return connection

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if is_corruption(error):
                raise JournalDamaged(f"The optimizer's state {self.path} is corrupt.") from error
            # The texts of SQLite's own errors are short and hold no values.
            raise OptimizerError(f"The optimizer's state {self.path} cannot be used: {error}.") from error


def _as_json(outcome: DecisionRecord) -> str:
    return orjson.dumps(
        {
            "request_id": outcome.request_id,
            "finished_at_s": outcome.finished_at_s,
            "model": outcome.model,
            "strategy": outcome.strategy,
            "backend": outcome.backend,
            "outcome": outcome.outcome,
            "status": outcome.status,
            "latency_ms": outcome.latency_ms,
            "overhead_ms": outcome.overhead_ms,
            "ttft_ms": outcome.ttft_ms,
            "stream": outcome.stream,
            "attempts": outcome.attempts,
            "usage": outcome.usage,
            "cost_usd": outcome.cost_usd,
            "task_type": outcome.task_type,
            "pattern": outcome.pattern,
            "propensity_01": outcome.propensity_01,
            "ensemble": None if outcome.ensemble is None else _ensemble_as_json(outcome.ensemble),
        }
    ).decode()


def _ensemble_as_json(report: EnsembleReport) -> JsonObject:
    """How the members voted, without what they said: `group` numbers the distinct answers, `None` for no vote."""
    groups: dict[str, int] = {}
    return {
        "merge": report.merge,
        "winner": report.winner,
        "confidence_01": report.confidence_01,
        "support_01": report.support_01,
        "degraded": report.degraded,
        "votes": [
            {
                "backend": vote.backend,
                "weight": vote.weight,
                "confidence_01": vote.confidence_01,
                "group": None if vote.answer is None else groups.setdefault(vote.answer, len(groups)),
            }
            for vote in report.votes
        ],
        "failures": [{"backend": failure.backend, "code": failure.code} for failure in report.failures],
    }


def _set_aside(path: Path) -> Path:
    """Renames the file, and what SQLite keeps beside it, to the first free `.corrupt-<n>`."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    path.rename(aside)
    for ending in SIDE_FILES:
        side = path.with_name(path.name + ending)
        if side.exists():
            side.rename(aside.with_name(aside.name + ending))
    return aside
