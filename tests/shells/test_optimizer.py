"""Does the optimizer actor acknowledge only what is on disk, wait where it should, and survive a bad file?"""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from actors.optimizer import Optimizer
from actors.optimizing.journal import Journal
from actors.optimizing.quality_predictor import packed
from actors.protocol.clock import ManualClock
from actors.protocol.errors import CallerError, LLMError, NotFound, OptimizerError, Unprocessable
from actors.protocol.messages import DecisionRecord, EnsembleReport, Feedback, Vote
from actors.protocol.patterns import Comparison, Trial
from actors.protocol.ratings import Verdict


def outcome(request_id: str, task_type: str = "math") -> DecisionRecord:
    return DecisionRecord(request_id, 0.0, "m", "failover", "a", "ok", 200, 100.0, 1.0, False, task_type=task_type)


def never_ends() -> None:
    raise AssertionError("the actor ended itself")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def optimizer(path: Path) -> AsyncIterator[Optimizer]:
    optimizer = Optimizer(path, ["a", "b"], never_ends)
    await optimizer.start()
    yield optimizer
    await optimizer.stop()


async def acknowledged(optimizer: Optimizer) -> int:
    count: int = (await optimizer.report())["feedback"]["acknowledged"]
    return count


async def test_outcomes_and_feedback_are_on_disk_when_acknowledged(optimizer: Optimizer, path: Path) -> None:
    await optimizer.record([outcome("r1")])

    told = await optimizer.feedback(Feedback("r1", correct=True))

    assert told == {"request_id": "r1", "status": "new"}
    witness = Journal(path)
    assert (witness.request_ids(), witness.feedback_counts().acknowledged) == (["r1"], 1)
    witness.close()


async def test_a_batch_that_is_sent_again_counts_once(optimizer: Optimizer) -> None:
    await optimizer.record([outcome("r1"), outcome("r2")])
    await optimizer.record([outcome("r1"), outcome("r2")])
    await optimizer.record([])

    assert (await optimizer.report())["outcomes"]["recorded"] == 2


async def test_repeated_feedback_counts_once_and_a_change_of_mind_is_kept(optimizer: Optimizer) -> None:
    await optimizer.record([outcome("r1")])
    said = [Feedback("r1", correct=True), Feedback("r1", correct=True), Feedback("r1", correct=False)]

    statuses = [(await optimizer.feedback(feedback))["status"] for feedback in said]

    assert statuses == ["new", "repeated", "replaced"]
    assert (await optimizer.report())["feedback"] == {"acknowledged": 2, "in_force": 1}


async def test_feedback_that_overtakes_its_request_waits_for_it(optimizer: Optimizer) -> None:
    early = asyncio.create_task(optimizer.feedback(Feedback("r1", correct=True)))
    await asyncio.sleep(0)
    assert not early.done()

    await optimizer.record([outcome("r1")])

    assert (await early)["status"] == "new"
    assert (await optimizer.pulse()).gauges["awaited_requests"] == 0


async def test_feedback_for_a_request_that_never_comes_is_not_found(path: Path) -> None:
    optimizer = Optimizer(path, ["a"], never_ends, patience_s=0.0)
    await optimizer.start()

    with pytest.raises(NotFound, match="'nobody' is known") as failure:
        await optimizer.feedback(Feedback("nobody", correct=True))

    assert (failure.value.status, failure.value.code, failure.value.param) == (404, "request_not_found", "request_id")
    assert (await optimizer.pulse()).gauges["awaited_requests"] == 0
    await optimizer.stop()


async def test_what_arrives_together_is_all_acknowledged(optimizer: Optimizer) -> None:
    await asyncio.gather(*(optimizer.record([outcome(f"r{number}")]) for number in range(100)))
    await asyncio.gather(*(optimizer.feedback(Feedback(f"r{number}", correct=True)) for number in range(100)))

    assert await acknowledged(optimizer) == 100


async def test_one_that_cannot_be_written_does_not_harm_the_others(
    optimizer: Optimizer, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = replace(outcome("bad"), model="\ud800"), outcome("good")

    await optimizer.record([bad, good])
    results = await asyncio.gather(
        optimizer.feedback(Feedback("good", comment="\ud800")),
        optimizer.feedback(Feedback("good", correct=True)),
        return_exceptions=True,
    )

    assert isinstance(results[0], Unprocessable)
    assert results[1] == {"request_id": "good", "status": "new"}
    assert "'bad' cannot be written" in caplog.text


async def test_a_restart_remembers_everything(path: Path) -> None:
    first = Optimizer(path, ["a"], never_ends)
    await first.start()
    await first.record([outcome("r1", "code")])
    await first.feedback(Feedback("r1", correct=True))
    await first.stop()
    await first.stop()

    second = Optimizer(path, ["a"], never_ends)
    await second.start()

    assert (await second.feedback(Feedback("r1", correct=True)))["status"] == "repeated"
    assert set(await second.weights()) == {"code", "unknown"}
    assert await acknowledged(second) == 1
    await second.stop()


async def test_weights_are_equal_for_every_task_type_that_was_seen(optimizer: Optimizer) -> None:
    await optimizer.record([outcome("r1", "math")])

    assert await optimizer.weights() == {"math": {"a": 0.5, "b": 0.5}, "unknown": {"a": 0.5, "b": 0.5}}


async def test_a_policy_may_be_given(path: Path) -> None:
    class First:
        def weights_for(self, task_type: str, backends: Sequence[str]) -> Mapping[str, float]:
            return {backends[0]: 1.0}

    optimizer = Optimizer(path, ["a", "b"], never_ends, policy=First())

    assert await optimizer.weights() == {"unknown": {"a": 1.0}}


async def test_the_report_shows_what_happened_per_arm(optimizer: Optimizer, path: Path) -> None:
    await optimizer.record([outcome("r1"), outcome("r2")])
    await optimizer.feedback(Feedback("r1", score_01=0.5))

    report = await optimizer.report()

    (arm,) = report["outcomes"]["arms"]
    assert (arm["task_type"], arm["backend"], arm["count"], arm["score_mean_01"]) == ("math", "a", 2, 0.5)
    assert (report["state"], report["set_aside"]) == (str(path), None)
    assert report["learned"]["weights"]["math"] == {"a": 0.5, "b": 0.5}


async def test_an_unusable_state_is_told_and_mended_without_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    obstacle = tmp_path / "folder"
    obstacle.write_text("a file where a folder should be")
    optimizer = Optimizer(obstacle / "state.db", ["a"], never_ends)

    await optimizer.start()
    pulse = await optimizer.pulse()
    assert (pulse.healthy, "cannot be used" in str(pulse.detail)) == (False, True)
    for refused in (optimizer.record([outcome("r1")]), optimizer.feedback(Feedback("r1", correct=True))):
        with pytest.raises(OptimizerError):
            await refused

    obstacle.unlink()
    await optimizer.record([outcome("r1")])
    assert (await optimizer.pulse()).healthy
    await optimizer.stop()


@pytest.fixture
def garbage(path: Path) -> Path:
    path.write_bytes(b"garbage" * 1000)
    return path


async def test_a_corrupt_state_is_set_aside_and_shown(garbage: Path, caplog: pytest.LogCaptureFixture) -> None:
    optimizer = Optimizer(garbage, ["a"], never_ends)

    await optimizer.start()

    assert (await optimizer.pulse()).healthy
    assert (await optimizer.report())["set_aside"] == f"{garbage}.corrupt-1"
    await optimizer.stop()


def damage_behind_its_back(path: Path) -> None:
    """Overwrites all but the first page, and makes every open connection read the file again."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.execute("PRAGMA user_version = 1")
    other.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x55" * (path.stat().st_size - 4096))


async def test_damage_while_in_use_is_set_aside_as_well(
    optimizer: Optimizer, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await optimizer.record([outcome("r1")])
    damage_behind_its_back(path)

    await optimizer.record([outcome("r2")])

    report = await optimizer.report()
    assert (report["set_aside"], report["outcomes"]["recorded"]) == (f"{path}.corrupt-1", 1)
    assert (await optimizer.pulse()).healthy


async def test_before_its_start_and_after_its_stop_it_refuses(path: Path) -> None:
    optimizer = Optimizer(path, ["a"], never_ends)
    with pytest.raises(OptimizerError, match="not running"):
        await optimizer.record([outcome("r1")])

    await optimizer.start()
    await optimizer.stop()

    with pytest.raises(OptimizerError, match="not running"):
        await optimizer.record([outcome("r1")])


async def test_what_was_handed_in_before_a_stop_is_still_written(optimizer: Optimizer, path: Path) -> None:
    recording = asyncio.create_task(optimizer.record([outcome("r1")]))
    await asyncio.sleep(0)

    await optimizer.stop()

    await recording
    witness = Journal(path)
    assert witness.request_ids() == ["r1"]
    witness.close()


async def test_a_sender_that_gives_up_does_not_disturb_the_writer(optimizer: Optimizer) -> None:
    recording = asyncio.create_task(optimizer.record([outcome("r1")]))
    await asyncio.sleep(0)
    recording.cancel()

    await optimizer.record([outcome("r2")])

    assert (await optimizer.report())["outcomes"]["recorded"] == 2


async def test_without_a_supervisor_it_ends_itself(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock, ended = ManualClock(), asyncio.Event()
    optimizer = Optimizer(path, ["a"], ended.set, clock=clock)
    clock.advance(61.0)

    with caplog.at_level(logging.WARNING):
        await optimizer.start()
        await ended.wait()

    assert "no supervisor" in caplog.text
    with pytest.raises(LLMError):
        await optimizer.record([outcome("r1")])


async def test_judgements_become_ratings_and_a_changed_mind_replaces_the_first(optimizer: Optimizer) -> None:
    await optimizer.record([outcome("r1", "math"), outcome("r2", "math")])
    await optimizer.feedback(Feedback("r1", correct=True))
    await optimizer.feedback(Feedback("r2", score_01=0.0))
    mixed = await optimizer.ratings()

    await optimizer.feedback(Feedback("r1", correct=False))
    bad = await optimizer.ratings()

    (backend,) = mixed["any"]
    assert mixed["any"][backend].quality_01 == pytest.approx(0.5, abs=0.001)
    assert bad["any"][backend].quality_01 == pytest.approx(0.25, abs=0.001)  # (0 + 1) / (2 + 2)
    assert "math" in (await optimizer.report())["learned"]["ratings"]


async def test_an_optimizer_that_shall_not_learn_keeps_feedback_but_publishes_nothing(path: Path) -> None:
    optimizer = Optimizer(path, ["a"], never_ends, learns=False)
    await optimizer.start()
    await optimizer.record([outcome("r1", "code")])

    await optimizer.feedback(Feedback("r1", correct=True))

    assert (await optimizer.ratings(), await optimizer.trust()) == ({}, {})
    assert await acknowledged(optimizer) == 1
    await optimizer.stop()


def merged(request_id: str) -> DecisionRecord:
    votes = [Vote("a", "42", 1.0), Vote("b", "42", 1.0), Vote("c", "41", 1.0)]
    report = EnsembleReport(3, 3, 2, "majority_vote", "a", 0.9, 0.7, False, False, votes, model="panel")
    return replace(outcome(request_id), backend="a", ensemble=report)


async def test_a_judgement_on_a_merged_answer_rates_its_backend_and_the_ensemble(optimizer: Optimizer) -> None:
    await optimizer.record([merged("r1")])

    await optimizer.feedback(Feedback("r1", correct=True))

    found = (await optimizer.ratings())["math"]
    assert found["panel"].judgements == pytest.approx(1.0, abs=0.01)
    assert found["panel"].quality_01 > 0.6
    assert found["a"].judgements > found["panel"].judgements  # it agreed with the answer, too


async def test_ensembles_teach_ratings_without_a_judgement_also_over_a_restart(path: Path) -> None:
    first = Optimizer(path, ["a"], never_ends)
    await first.start()
    await first.ratings()
    await first.record([merged(f"r{n}") for n in range(50)])
    known = await first.ratings()
    await first.stop()

    second = Optimizer(path, ["a"], never_ends)
    await second.start()
    again = await second.ratings()
    await second.stop()

    assert known["any"]["a"].quality_01 > 0.75 > 0.25 > known["any"]["c"].quality_01
    assert again == known


async def test_a_change_for_the_worse_is_reported_and_what_was_before_is_forgotten(optimizer: Optimizer) -> None:
    await optimizer.record([outcome(f"r{n}") for n in range(80)])

    for n in range(80):
        await optimizer.feedback(Feedback(f"r{n}", correct=n < 60))

    (change,) = (await optimizer.report())["changes"]
    assert (change["before_01"], change["after_01"]) == (1.0, 0.0)
    (rating,) = (await optimizer.ratings())["any"].values()
    assert rating.quality_01 < 0.1


async def test_what_was_learned_is_forgotten_and_taken_over_again(optimizer: Optimizer) -> None:
    await optimizer.record([outcome("r1"), merged("r2")])
    await optimizer.feedback(Feedback("r1", correct=True))
    await optimizer.feedback(Feedback("r2", score_01=0.5))
    exported = await optimizer.export_learning()
    judgements = [Verdict(**one) for one in exported["judgements"]]

    await optimizer.reset_learning()
    empty = await optimizer.ratings()
    imported = [await optimizer.import_learning(judgements) for _ in range(2)]

    assert [(one.backend, one.reward_01) for one in judgements] == [("a", 1.0), ("panel", 0.5), ("a", 0.5)]
    assert empty == {}
    assert imported == [3, 0]
    assert (await optimizer.ratings())["math"].keys() == {"a", "panel"}
    assert await acknowledged(optimizer) == 2  # what was imported nobody told us


async def test_after_a_reset_feedback_for_earlier_requests_is_not_found(path: Path) -> None:
    optimizer = Optimizer(path, ["a"], never_ends, patience_s=0.0)
    await optimizer.start()
    await optimizer.record([outcome("r1")])

    await optimizer.reset_learning()

    with pytest.raises(NotFound):
        await optimizer.feedback(Feedback("r1", correct=True))
    await optimizer.stop()


def compared(request_id: str, expected: str | None = None) -> Comparison:
    return Comparison(request_id, "a", "math", "format", "41", "42", expected)


async def test_a_comparison_teaches_as_soon_as_it_is_known_what_is_right(optimizer: Optimizer) -> None:
    await optimizer.record([outcome("r1")])
    await optimizer.compare([compared("r1")])
    before = await optimizer.gains()

    await optimizer.feedback(Feedback("r1", gold="42"))
    await optimizer.compare([compared("r2", expected="42")])

    gain = (await optimizer.gains())["a"]["math"]["format"]
    assert before == {}
    assert gain.gain > 0
    assert gain.trials == pytest.approx(2, abs=0.01)


async def test_what_was_learned_of_patterns_is_there_after_a_restart(path: Path) -> None:
    first = Optimizer(path, ["a"], never_ends)
    await first.start()
    await first.compare([compared("r1", expected="42")])
    await first.stop()

    second = Optimizer(path, ["a"], never_ends)
    await second.start()

    assert (await second.gains())["a"]["math"]["format"].trials == 1.0
    await second.stop()


async def test_gains_are_reported_with_what_is_safe(optimizer: Optimizer) -> None:
    await optimizer.compare([compared(f"r{n}", expected="42") for n in range(40)])

    told = (await optimizer.report())["learned"]["patterns"]["a"]["math"]["format"]

    assert told["safe"] is True
    assert told["low"] > 0.5


async def test_comparisons_are_exported_and_taken_over_again(optimizer: Optimizer) -> None:
    await optimizer.compare([compared("r1", expected="42")])
    exported = await optimizer.export_learning()

    await optimizer.reset_learning()
    empty = await optimizer.gains()
    await optimizer.import_learning([Trial(**one) for one in exported["comparisons"]])

    assert empty == {}
    assert (await optimizer.gains())["a"]["math"]["format"].trials == 1.0


async def test_where_nothing_is_to_be_learned_comparisons_teach_nothing(path: Path) -> None:
    optimizer = Optimizer(path, ["a"], never_ends, learns=False)
    await optimizer.start()

    await optimizer.compare([compared("r1", expected="42")])

    assert await optimizer.gains() == {}
    assert (await optimizer.export_learning())["comparisons"] == []
    await optimizer.stop()


async def test_a_backend_that_does_not_exist_cannot_be_preferred(optimizer: Optimizer) -> None:
    await optimizer.record([outcome("r1")])

    with pytest.raises(CallerError, match="Available: a, b") as refusal:
        await optimizer.feedback(Feedback("r1", preferred="c"))

    assert refusal.value.param == "preferred"
    await optimizer.feedback(Feedback("r1", preferred="b"))
    assert (
        (await optimizer.ratings())["math"]["b"].quality_01 > 0.5 > (await optimizer.ratings())["math"]["a"].quality_01
    )


def on_question(request_id: str, question: str, backend: str) -> DecisionRecord:
    return replace(outcome(request_id, "unknown"), backend=backend, features=packed(question))


async def teach(optimizer: Optimizer, n: int) -> None:
    """`a` is right on sums and `b` on poems."""
    for number in range(n):
        is_sum, backend = bool(number % 2), "ab"[number // 2 % 2]
        question = (
            f"Compute {number} * {number + 7}." if is_sum else f"Write {number} lines about the wind and the sea."
        )
        await optimizer.record([on_question(f"r{number}", question, backend)])
        await optimizer.feedback(Feedback(f"r{number}", correct=is_sum == (backend == "a")))


async def test_what_questions_say_of_answers_is_published_once_and_is_there_after_a_restart(path: Path) -> None:
    first = Optimizer(path, ["a", "b"], never_ends)
    await first.start()
    nothing = await first.predictions(0)
    await teach(first, 200)
    newer = await first.predictions(0)
    assert newer is not None
    again = await first.predictions(newer[0])
    await first.stop()
    second = Optimizer(path, ["a", "b"], never_ends)
    await second.start()

    restored = await second.predictions(newer[0])

    assert nothing is not None
    assert nothing[1] is None
    assert again is None
    for found in (newer, restored):
        assert found is not None
        assert found[1] is not None
        on_sum = found[1].expected(packed("Compute 5 * 12."), "unknown")
        assert on_sum["a"].quality_01 > 0.7 > 0.3 > on_sum["b"].quality_01
    assert (await second.report())["learned"]["predictions"]["in_use"] is True
    await second.reset_learning()
    assert (await second.predictions(newer[0]) or (0, newer))[1] is None
    await second.stop()
