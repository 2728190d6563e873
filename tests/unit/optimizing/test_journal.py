"""Does the journal keep what it acknowledged, once, and whatever happens to its file?"""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from actors.optimizing import schema
from actors.optimizing.journal import FeedbackCounts, Journal, JournalDamaged
from actors.protocol.clock import ManualClock
from actors.protocol.errors import OptimizerError
from actors.protocol.messages import Attempt, DecisionRecord, EnsembleReport, Failure, Feedback, Usage, Vote
from actors.protocol.patterns import Trial

CLOCK = ManualClock()


def outcome(request_id: str, result: str = "ok", backend: str | None = "a", task_type: str = "math") -> DecisionRecord:
    return DecisionRecord(
        request_id,
        1_700_000_000.0,
        "team",
        "failover",
        backend,
        result,
        200,
        latency_ms=100.0,
        overhead_ms=1.0,
        stream=False,
        attempts=(Attempt("a", result, 99.0),),
        usage=Usage(10, 5),
        cost_usd=0.25,
        task_type=task_type,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path, CLOCK, kept=3)
    yield journal
    journal.close()


def test_what_was_committed_is_there_after_opening_again(journal: Journal, path: Path) -> None:
    journal.commit([outcome("r1")], [Feedback("r1", correct=True)])
    journal.close()

    again = Journal(path)

    assert again.request_ids() == ["r1"]
    assert again.feedback_counts() == FeedbackCounts(acknowledged=1, in_force=1)
    assert again.set_aside is None
    again.close()


def test_an_outcome_that_is_sent_again_counts_once(journal: Journal) -> None:
    journal.commit([outcome("r1"), outcome("r2")], [])
    journal.commit([outcome("r1"), outcome("r3")], [])

    assert journal.request_ids() == ["r1", "r2", "r3"]
    assert [total.count for total in journal.totals()] == [3]


def test_old_outcomes_make_room_and_their_sums_stay(journal: Journal) -> None:
    for number in range(5):
        journal.commit([outcome(f"r{number}")], [])

    assert journal.request_ids() == ["r2", "r3", "r4"]
    assert [total.count for total in journal.totals()] == [5]


def test_sums_are_kept_per_arm_and_only_successes_count_for_latency(journal: Journal) -> None:
    journal.commit([outcome("r1"), outcome("r2", "cancelled"), outcome("r3", "timeout", None)], [])

    nobody, a = journal.totals()

    assert (nobody.backend, nobody.count, nobody.ok) == (None, 1, 0)
    assert (a.backend, a.count, a.ok, a.cancelled, a.ok_latency_ms_sum, a.cost_usd_sum) == ("a", 2, 1, 1, 100.0, 0.5)
    assert (a.as_json()["latency_mean_ms"], a.as_json()["failed"], nobody.as_json()["failed"]) == (100.0, 0, 1)


def test_the_same_feedback_twice_counts_once(journal: Journal) -> None:
    said = Feedback("r1", score_01=0.5, comment="so so")

    assert journal.commit([outcome("r1")], [said]) == ["new"]
    assert journal.commit([], [said, said]) == ["repeated", "repeated"]

    (total,) = journal.totals()
    assert (journal.feedback_counts().acknowledged, total.scored, total.score_01_sum) == (1, 1, 0.5)


def test_a_later_judgement_replaces_the_earlier_one_which_stays_in_the_history(journal: Journal, path: Path) -> None:
    journal.commit([outcome("r1")], [Feedback("r1", correct=True, score_01=0.9)])

    assert journal.commit([], [Feedback("r1", correct=False)]) == ["replaced"]

    (total,) = journal.totals()
    assert (total.correct, total.incorrect, total.scored) == (0, 1, 0)
    assert total.score_01_sum == pytest.approx(0.0)
    assert journal.feedback_counts() == FeedbackCounts(acknowledged=2, in_force=1)


def test_feedback_for_an_unknown_request_is_told_and_the_rest_is_kept(journal: Journal) -> None:
    receipts = journal.commit([outcome("r1")], [Feedback("r9", correct=True), Feedback("r1", correct=True)])

    assert receipts == ["unknown_request", "new"]
    assert journal.feedback_counts().acknowledged == 1


def test_votes_are_written_down_without_what_was_said(journal: Journal) -> None:
    votes = [Vote("a", "secret 42", 0.4), Vote("b", "41", 0.3), Vote("c", "secret 42", 0.3), Vote("d", None, 0.0)]
    failure = Failure("e", "timeout", "secret", 504, True, 1.0)
    report = EnsembleReport(5, 4, 3, "majority_vote", "a", 0.8, 0.7, True, False, votes, [failure])

    journal.commit([replace(outcome("r1"), ensemble=report)], [])

    record = journal.outcome("r1")
    assert record is not None
    assert [vote["group"] for vote in record["ensemble"]["votes"]] == [0, 1, 0, None]
    assert record["ensemble"]["failures"] == [{"backend": "e", "code": "timeout"}]
    assert (record["attempts"][0]["backend"], record["usage"]["prompt_tokens"]) == ("a", 10)
    assert "secret" not in str(record)
    assert journal.outcome("r2") is None


def test_a_failed_commit_leaves_nothing_of_itself(journal: Journal) -> None:
    with pytest.raises(UnicodeError):
        journal.commit([outcome("r1")], [Feedback("r1", comment="\ud800")])

    assert (journal.request_ids(), journal.totals()) == ([], [])
    assert journal.commit([outcome("r1")], []) == []


@pytest.mark.parametrize("garbage", [b"this is no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_corrupt_file_is_set_aside_and_a_fresh_one_begun(
    path: Path, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(garbage)
    path.with_name("state.db.corrupt-1").write_bytes(b"an earlier one")

    journal = Journal(path)

    aside = path.with_name("state.db.corrupt-2")
    assert (journal.set_aside, aside.read_bytes()) == (aside, garbage)
    assert "is corrupt; it was set aside as" in caplog.text
    assert journal.commit([outcome("r1")], [Feedback("r1", correct=True)]) == ["new"]
    journal.close()


def test_damage_inside_the_file_is_found_when_it_is_opened(journal: Journal, path: Path) -> None:
    for number in range(200):
        journal.commit([outcome(f"r{number}")], [Feedback(f"r{number}", comment="x" * 400)])
    journal.close()
    content = bytearray(path.read_bytes())
    content[8192 : len(content) - 4096] = b"\x55" * (len(content) - 12288)
    path.write_bytes(content)

    again = Journal(path)

    assert again.set_aside is not None
    assert again.request_ids() == []
    again.close()


def test_damage_in_use_is_told_apart_from_other_trouble() -> None:
    broken, locked = sqlite3.DatabaseError("malformed"), sqlite3.OperationalError("locked")
    broken.sqlite_errorcode, locked.sqlite_errorcode = sqlite3.SQLITE_CORRUPT_INDEX, sqlite3.SQLITE_BUSY

    assert (schema.is_corruption(broken), schema.is_corruption(locked)) == (True, False)
    assert issubclass(JournalDamaged, OptimizerError)


def test_a_file_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OptimizerError, match=r"state .*file.* cannot be used"):
        Journal(tmp_path / "file" / "state.db")
    with pytest.raises(OptimizerError, match="cannot be used"):
        Journal(tmp_path)


def test_two_processes_may_share_a_file_and_a_locked_one_is_a_clear_error(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_S", 0.0)
    other = Journal(path, kept=3)
    journal.commit([outcome("r1")], [])
    other.commit([outcome("r2")], [])
    assert journal.request_ids() == ["r1", "r2"]

    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(OptimizerError, match="locked"):
        other.commit([outcome("r3")], [])
    holder.execute("ROLLBACK")
    holder.close()

    other.commit([outcome("r3")], [])
    other.close()


def test_a_file_of_a_later_release_is_refused_and_left_alone(journal: Journal, path: Path) -> None:
    journal.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(OptimizerError, match="version 99"):
        Journal(path)
    assert list(path.parent.glob("*.corrupt-*")) == []


def test_an_older_file_is_migrated_step_by_step(tmp_path: Path) -> None:
    connection = schema.connect(str(tmp_path / "old.db"))
    steps = [("CREATE TABLE a (x)",), ("ALTER TABLE a ADD COLUMN y", "INSERT INTO a VALUES (1, 2)")]
    assert schema.migrate(connection, steps[:1]) == 0

    assert schema.migrate(connection, steps) == 1
    assert schema.migrate(connection, steps) == 2
    assert connection.execute("SELECT x, y FROM a").fetchall() == [(1, 2)]
    connection.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    connection = schema.connect(str(tmp_path / "old.db"))

    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection, [("CREATE TABLE a (x)", "NONSENSE")])

    assert connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()


ACKNOWLEDGING = """
import sys
from pathlib import Path
from actors.optimizing.journal import Journal
from actors.protocol.messages import DecisionRecord, Feedback
journal = Journal(Path(sys.argv[1]))
for number in range(100_000):
    request = f"r{number}"
    record = DecisionRecord(request, 0.0, "m", "failover", "a", "ok", 200, 1.0, 0.1, False)
    assert journal.commit([record], [Feedback(request, correct=True)]) == ["new"]
    print(number + 1, flush=True)
"""


def test_a_kill_loses_nothing_that_was_acknowledged(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ACKNOWLEDGING, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(30):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        acknowledged = 30 + len(process.stdout.readlines())

    journal = Journal(path)

    assert journal.set_aside is None
    assert journal.feedback_counts().acknowledged >= acknowledged
    assert [total.correct for total in journal.totals()] == [journal.feedback_counts().acknowledged]
    journal.close()


def test_a_file_of_the_first_version_is_taken_over(path: Path, journal: Journal) -> None:
    journal.commit([outcome("r1"), outcome("r2")], [Feedback("r1", correct=True)])
    journal.close()
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE feedback DROP COLUMN ensemble")
    connection.execute("ALTER TABLE feedback DROP COLUMN gold_right")
    for column in ("features", "propensity_01", "predicted_01"):
        connection.execute(f"ALTER TABLE feedback DROP COLUMN {column}")
    connection.execute("DROP TABLE trials")
    connection.execute("PRAGMA user_version = 1")
    connection.close()

    again = Journal(path, CLOCK)
    again.commit([], [Feedback("r2", score_01=0.25)])

    assert [(verdict.backend, verdict.reward_01) for verdict in again.verdicts(10)] == [("a", 0.25), ("a", 1.0)]
    again.close()


def trial(reward_01: float, at_s: float, pattern: str = "format") -> Trial:
    return Trial("a", "math", pattern, reward_01, 0.0, at_s)


def test_comparisons_are_kept_over_a_restart_the_latest_of_them(journal: Journal, path: Path) -> None:
    journal.add_trials([trial(1.0, float(n)) for n in range(5)])
    journal.close()

    again = Journal(path)

    assert [one.at_s for one in again.compared(10)] == [4.0, 3.0, 2.0]
    again.close()


def test_trials_are_judged_requests_and_comparisons_together_newest_first(journal: Journal) -> None:
    clear = replace(outcome("r2"), pattern="format")
    journal.commit([outcome("r1"), clear], [Feedback("r1", correct=False), Feedback("r2", correct=True)])
    journal.add_trials([trial(1.0, CLOCK.wall_s() + 5)])

    latest, *judged = journal.trials(10)

    assert latest.plain_01 == 0.0
    assert {(one.pattern, one.reward_01, one.plain_01) for one in judged} == {
        ("plain", 0.0, None),
        ("format", 1.0, None),
    }


def test_where_all_was_asked_plainly_there_is_nothing_to_compare(journal: Journal) -> None:
    journal.commit([outcome("r1")], [Feedback("r1", correct=False)])

    assert journal.trials(10) == []


def test_comparisons_are_taken_over_once_and_forgotten(journal: Journal) -> None:
    assert [journal.adopt([trial(1.0, 3.0)]) for _ in range(2)] == [1, 0]

    journal.forget()

    assert journal.compared(10) == []


def test_what_follows_from_the_right_answer_counts_where_nothing_else_was_said(journal: Journal) -> None:
    said = [
        Feedback("r1", gold="42", gold_right=True),
        Feedback("r2", gold="42", correct=False, gold_right=True),
        Feedback("r3", gold="42"),
    ]
    journal.commit([outcome("r1"), outcome("r2"), outcome("r3")], said)

    assert [verdict.reward_01 for verdict in journal.verdicts(10)] == [0.0, 1.0]
    (total,) = journal.totals()
    assert (total.correct, total.incorrect) == (1, 1)


def test_saying_the_same_again_is_a_repetition_also_where_it_can_no_longer_be_compared(journal: Journal) -> None:
    journal.commit([outcome("r1")], [Feedback("r1", gold="42", gold_right=True)])

    assert journal.commit([], [Feedback("r1", gold="42")]) == ["repeated"]
    assert [verdict.reward_01 for verdict in journal.verdicts(10)] == [1.0]


def test_a_preferred_backend_is_good_and_the_one_that_answered_is_not(journal: Journal) -> None:
    said = [Feedback("r1", preferred="b"), Feedback("r2", preferred="a"), Feedback("r3", preferred="b", correct=True)]
    journal.commit([outcome("r1"), outcome("r2"), outcome("r3")], said)

    found = [(verdict.backend, verdict.reward_01) for verdict in journal.verdicts(10)]
    assert found == [("a", 1.0), ("b", 1.0), ("a", 1.0), ("a", 0.0), ("b", 1.0)]


def test_how_a_request_was_decided_is_kept_with_its_judgement(journal: Journal) -> None:
    looked_at = replace(
        outcome("r1"), features="Zg==", propensity_01=0.25, predicted=[("a", 0.75, 0.1), ("b", 0.5, 0.1)]
    )
    journal.commit([looked_at, outcome("r2")], [Feedback("r1", correct=True), Feedback("r2", correct=True)])

    (seen,) = journal.seen_verdicts(10, with_features=True)

    assert (seen.features, seen.propensity_01, seen.predicted_01) == ("Zg==", 0.25, 0.75)
    assert [one.predicted_01 for one in journal.seen_verdicts(10)] == [None, 0.75]
