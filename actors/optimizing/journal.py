"""What was ever learned from? A durable record of outcomes and feedback in one SQLite file."""

import logging
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from actors.optimizing.outcome_json import outcome_json
from actors.optimizing.schema import NewerFile, connect, is_corruption, is_sound, migrate, set_aside
from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.errors import OptimizerError
from actors.protocol.messages import DecisionRecord, Feedback, JsonObject
from actors.protocol.patterns import PLAIN, Trial
from actors.protocol.ratings import Seen, Verdict

log = logging.getLogger("troupe.journal")

OUTCOMES_KEPT: Final = 10_000
ADOPTED: Final = "imported"

Receipt = Literal["new", "repeated", "replaced", "unknown_request"]
"""What became of a feedback; `repeated`: it said what was known, `replaced`: it took the place of an earlier one."""

_Arm = tuple[str, str, str, str]
"""Task type, backend ('' for none), strategy, pattern."""


_REWARD_01: Final = "COALESCE(score_01, correct, gold_right, preferred = backend)"
_SAID: Final = "correct, score_01, preferred, gold, comment, gold_right"


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

    def as_json(self) -> JsonObject:
        """For reports; means are `None` where nothing was counted, latencies those of successes."""
        return {
            "task_type": self.task_type,
            "backend": self.backend,
            "strategy": self.strategy,
            "pattern": self.pattern,
            "count": self.count,
            "ok": self.ok,
            "cancelled": self.cancelled,
            "failed": self.count - self.ok - self.cancelled,
            "latency_mean_ms": round(self.ok_latency_ms_sum / self.ok, 3) if self.ok else None,
            "cost_usd": round(self.cost_usd_sum, 9),
            "correct": self.correct,
            "incorrect": self.incorrect,
            "score_mean_01": round(self.score_01_sum / self.scored, 5) if self.scored else None,
        }


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
            self._add_to_totals([outcome for outcome in outcomes if self._add_outcome(outcome)])
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

    def judged(self) -> list[tuple[JsonObject, Feedback]]:
        """Every feedback in force whose outcome is still kept, with that outcome's record, oldest first."""
        with self._translated():
            rows = self._connection.execute(
                f"SELECT record, f.request_id, {_SAID} FROM feedback f"
                " JOIN outcomes USING (request_id) WHERE replaced = 0 ORDER BY f.seq"
            )
            return [(orjson.loads(row[0]), _feedback(row[1:])) for row in rows]

    def verdicts(self, most: int) -> list[Verdict]:
        """The latest judgements in force on an answer's quality, newest first; a score counts before right or wrong.

        What an ensemble answered speaks of the backend whose answer it was, and of the ensemble. That another backend's
        answer was preferred speaks for that one, and where nothing else was said against the one that was given.
        """
        return [seen.verdict for seen in self.seen_verdicts(most)]

    def seen_verdicts(self, most: int, *, with_features: bool = False) -> list[Seen]:
        """The same with how each request was decided; `with_features`: those alone whose questions were looked at."""
        with self._translated():
            rows = self._connection.execute(
                f"SELECT task_type, backend, {_REWARD_01}, received_at_s, pattern, ensemble, preferred, features,"
                " propensity_01, predicted_01"
                f" FROM feedback WHERE replaced = 0 AND backend != '' AND {_REWARD_01} IS NOT NULL"
                " AND (features != '' OR NOT ?) ORDER BY seq DESC LIMIT ?",
                (with_features, most),
            ).fetchall()
        found = []
        for task_type, backend, reward_01, at_s, pattern, ensemble, preferred, *decided in rows:
            names = [name for name in (backend, ensemble) if name]
            found += [Seen(Verdict(task_type, name, float(reward_01), at_s, pattern), *decided) for name in names]
            if preferred not in (None, backend):
                found.append(Seen(Verdict(task_type, preferred, 1.0, at_s)))
        return found

    def trials(self, most: int) -> list[Trial]:
        """The latest judgements by how the question was put, newest first; none where all were put plainly.

        They are what feedback said of single requests, and what comparisons of two answers to one question came to.
        """
        alone = [Trial(v.backend, v.task_type, v.pattern, v.reward_01, None, v.at_s) for v in self.verdicts(most)]
        pairs = self.compared(most)
        if not pairs and all(trial.pattern == PLAIN for trial in alone):
            return []
        return sorted([*alone, *pairs], key=lambda trial: trial.at_s, reverse=True)[:most]

    def compared(self, most: int) -> list[Trial]:
        """The latest comparisons of two answers to one question, newest first."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT backend, task_type, pattern, reward_01, plain_01, at_s FROM trials ORDER BY seq DESC LIMIT ?",
                (most,),
            )
            return [Trial(*row) for row in rows]

    def add_trials(self, trials: Sequence[Trial]) -> None:
        """Writes what comparisons came to, durable on return; the latest 10,000 are kept."""
        with self._transaction():
            self._connection.executemany(
                "INSERT INTO trials (backend, task_type, pattern, reward_01, plain_01, at_s) VALUES (?, ?, ?, ?, ?, ?)",
                trials,
            )
            self._connection.execute("DELETE FROM trials WHERE seq <= (SELECT MAX(seq) FROM trials) - ?", (self._kept,))

    def adopt(self, learned: Sequence[Verdict | Trial]) -> int:
        """Writes judgements and comparisons that were exported, oldest first, as the newest ones; returns how many were
        not here yet.

        They count in ratings and gains, not among acknowledged feedback.
        """
        known = {*self.verdicts(self._kept), *self.compared(self._kept)}
        new = [one for one in learned if one not in known]
        verdicts = [one for one in new if isinstance(one, Verdict)]
        with self._transaction():
            self._connection.executemany(
                "INSERT INTO feedback (request_id, received_at_s, score_01, task_type, backend, strategy, pattern)"
                " VALUES (? || '-' || lower(hex(randomblob(16))), ?, ?, ?, ?, ?, ?)",
                [
                    (ADOPTED, one.at_s, one.reward_01, one.task_type, one.backend, ADOPTED, one.pattern)
                    for one in verdicts
                ],
            )
        self.add_trials([one for one in new if isinstance(one, Trial)])
        return len(new)

    def forget(self) -> None:
        """Takes all judgements out of force and drops outcomes and sums; how much was acknowledged stays known."""
        with self._transaction():
            self._connection.execute("UPDATE feedback SET replaced = 1 WHERE replaced = 0")
            self._connection.execute("DELETE FROM outcomes")
            self._connection.execute("DELETE FROM trials")
            self._connection.execute("DELETE FROM totals")

    def ensembles(self, most: int) -> list[JsonObject]:
        """The records of the latest outcomes that ensembles came to, oldest first."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT record FROM outcomes WHERE json_extract(record, '$.ensemble') IS NOT NULL"
                " ORDER BY seq DESC LIMIT ?",
                (most,),
            ).fetchall()
        return [orjson.loads(row[0]) for row in reversed(rows)]

    def totals(self) -> list[OutcomeTotal]:
        """Sums per arm, in alphabetical order."""
        with self._translated():
            rows = self._connection.execute("SELECT * FROM totals ORDER BY task_type, backend, strategy, pattern")
            return [OutcomeTotal(row[0], row[1] or None, *row[2:]) for row in rows]

    def feedback_counts(self) -> FeedbackCounts:
        """How much feedback the file holds."""
        with self._translated():
            row = self._connection.execute(
                "SELECT COUNT(*), COALESCE(SUM(replaced = 0), 0) FROM feedback WHERE strategy != ?", (ADOPTED,)
            ).fetchone()
        return FeedbackCounts(*row)

    # ---- writing ----

    def _add_outcome(self, outcome: DecisionRecord) -> bool:
        """Whether it is new."""
        row = (outcome.request_id, outcome.finished_at_s, *_arm_of(outcome), outcome_json(outcome))
        added = self._connection.execute(
            "INSERT OR IGNORE INTO outcomes (request_id, finished_at_s, task_type, backend, strategy, pattern, record)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            row,
        ).rowcount
        return bool(added)

    def _add_to_totals(self, outcomes: Iterable[DecisionRecord]) -> None:
        """Once for all outcomes of an arm: one by one it would be a quarter of what writing them down costs."""
        sums: defaultdict[_Arm, list[float]] = defaultdict(lambda: [0, 0, 0, 0.0, 0.0])
        for outcome in outcomes:
            ok = outcome.outcome == "ok"
            arm = sums[_arm_of(outcome)]
            arm[0] += 1
            arm[1] += ok
            arm[2] += outcome.outcome == "cancelled"
            arm[3] += outcome.latency_ms if ok else 0.0
            arm[4] += outcome.cost_usd or 0.0
        self._connection.executemany(
            "INSERT INTO totals (task_type, backend, strategy, pattern, count, ok, cancelled, ok_latency_ms_sum,"
            " cost_usd_sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " count = count + excluded.count, ok = ok + excluded.ok, cancelled = cancelled + excluded.cancelled,"
            " ok_latency_ms_sum = ok_latency_ms_sum + excluded.ok_latency_ms_sum,"
            " cost_usd_sum = cost_usd_sum + excluded.cost_usd_sum",
            [(*arm, *added) for arm, added in sums.items()],
        )

    def _add_feedback(self, feedback: Feedback) -> Receipt:
        found = self._connection.execute(
            "SELECT task_type, backend, strategy, pattern, COALESCE(json_extract(record, '$.ensemble.model'), ''),"
            " COALESCE(json_extract(record, '$.features'), ''), json_extract(record, '$.propensity_01'),"
            " json_extract(record, '$.predicted_01') FROM outcomes WHERE request_id = ?",
            (feedback.request_id,),
        ).fetchone()
        if found is None:
            return "unknown_request"
        arm: _Arm = found[:4]
        earlier = self._in_force(feedback.request_id)
        if earlier == feedback:
            return "repeated"
        if earlier is not None:
            self._connection.execute(
                "UPDATE feedback SET replaced = 1 WHERE request_id = ? AND replaced = 0", (feedback.request_id,)
            )
            self._judge(arm, earlier, -1)
        self._connection.execute(
            "INSERT INTO feedback (request_id, received_at_s, correct, score_01, preferred, gold, comment, gold_right,"
            " task_type, backend, strategy, pattern, ensemble, features, propensity_01, predicted_01)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                feedback.request_id,
                self._clock.wall_s(),
                feedback.correct,
                feedback.score_01,
                feedback.preferred,
                feedback.gold,
                feedback.comment,
                feedback.gold_right,
                *found,
            ),
        )
        self._judge(arm, feedback, +1)
        return "new" if earlier is None else "replaced"

    def _in_force(self, request_id: str) -> Feedback | None:
        row = self._connection.execute(
            f"SELECT request_id, {_SAID} FROM feedback WHERE request_id = ? AND replaced = 0", (request_id,)
        ).fetchone()
        return None if row is None else _feedback(row)

    def _judge(self, arm: _Arm, feedback: Feedback, sign: Literal[-1, 1]) -> None:
        """Adds the judgement to its arm's sums, or takes it out again."""
        self._connection.execute(
            "UPDATE totals SET correct = correct + ?, incorrect = incorrect + ?, scored = scored + ?,"
            " score_01_sum = score_01_sum + ?"
            " WHERE task_type = ? AND backend = ? AND strategy = ? AND pattern = ?",
            (
                sign * (feedback.right is True),
                sign * (feedback.right is False),
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
            self.set_aside = set_aside(self.path)
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


def _arm_of(outcome: DecisionRecord) -> _Arm:
    return (outcome.task_type, outcome.backend or "", outcome.strategy, outcome.pattern)


def _feedback(row: Sequence[Any]) -> Feedback:
    """The request and what `_SAID` selects."""
    request_id, correct, score_01, preferred, gold, comment, gold_right = row
    correct, gold_right = (None if flag is None else bool(flag) for flag in (correct, gold_right))
    return Feedback(request_id, correct, score_01, preferred, gold, comment, gold_right)
