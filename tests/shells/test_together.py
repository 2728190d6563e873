"""Ways of making several answers one that need more than one round: cascade, stages, samples, pipeline, a writer."""

from typing import Any

import pytest

from actors.protocol.trust import Trust
from actors.routing.table import ModelRecord
from actors.tracing.aggregates import Key
from actors.tracing.spans import performance_tracer
from tests.shells.test_orchestrator import FAILS, Theatre, says

ANSWERS = {"a": "The answer is 42.", "b": "I get 42.", "c": "The answer is 41."}


def ensemble(**changes: Any) -> ModelRecord:
    return ModelRecord("all", **{"strategy": "ensemble", "members": ["a", "b", "c"], **changes})


def asked(theatre: Theatre) -> list[str]:
    return [attempt.backend for attempt in theatre.records[-1].attempts]


async def test_a_cascade_asks_nobody_else_once_one_is_sure_enough() -> None:
    scripts = {**says(b="42", c="41"), "a": {"reply": {"text": "42", "logprob_mean": -0.01}}}
    theatre = Theatre(scripts, ensemble(strategy="cascade", min_confidence_01=0.9))

    body = await theatre.ask("all")

    assert (body["choices"][0]["message"]["content"], asked(theatre)) == ("42", ["a"])
    assert body["troupe"]["ensemble"]["confidence_01"] == pytest.approx(0.99, abs=0.001)
    assert body["troupe"]["ensemble"]["degraded"] is False


async def test_a_cascade_escalates_while_nobody_is_sure_and_two_that_agree_win() -> None:
    theatre = Theatre(
        says(a="The answer is 41.", b="It is 42.", c="42"), ensemble(strategy="cascade", min_confidence_01=0.99)
    )

    body = await theatre.ask("all")

    assert asked(theatre) == ["a", "b", "c"]
    assert body["choices"][0]["message"]["content"] == "42"


async def test_a_cascade_passes_over_a_member_that_fails() -> None:
    theatre = Theatre({"a": FAILS, **says(b="42", c="42")}, ensemble(strategy="cascade"))

    body = await theatre.ask("all")

    assert (asked(theatre), body["troupe"]["ensemble"]["winner"]) == (["a", "b"], "b")
    assert body["troupe"]["ensemble"]["degraded"] is True


async def test_what_deciding_takes_is_told_among_the_operations() -> None:
    theatre = Theatre(says(**ANSWERS), ensemble())
    performance_tracer.collect()

    await theatre.ask("all")

    operations = performance_tracer.collect()
    assert operations is not None
    assert 1 <= operations.tallies[Key("ensembler", "decide")].count <= 4  # at the start, and as each member answers


async def test_two_that_agree_spare_the_third() -> None:
    theatre = Theatre(says(**ANSWERS), ensemble(staged=2))

    body = await theatre.ask("all")

    told = body["troupe"]["ensemble"]
    assert sorted(asked(theatre)) == ["a", "b"]
    assert (told["asked"], told["decided_early"], told["degraded"]) == (2, True, False)


async def test_two_that_disagree_bring_in_the_third() -> None:
    theatre = Theatre(says(a="41", b="42", c="42"), ensemble(staged=2))

    body = await theatre.ask("all")

    assert body["choices"][0]["message"]["content"] == "42"
    assert sorted(asked(theatre)) == ["a", "b", "c"]


async def test_what_feedback_taught_decides_who_is_asked_first_and_who_wins() -> None:
    theatre = Theatre(says(a="41", b="41", c="42"), ensemble(staged=1))
    trust = Trust({"a": 0.2, "b": 0.2, "c": 3.0}, 0.0, 100)
    theatre.table = theatre.table.__class__(
        2, theatre.table.backends, theatre.table.models, trust={"all": {"any": trust}}
    )

    body = await theatre.ask("all")

    assert asked(theatre) == ["c"]
    told = body["troupe"]["ensemble"]
    assert told["confidence_01"] == pytest.approx(0.9526, abs=0.0001)  # e³ / (e³ + 1)


async def test_self_consistency_asks_one_model_again_and_again() -> None:
    theatre = Theatre(says(a="42"), ensemble(members=["a"], merge="self_consistency", samples=3, quorum=3))

    body = await theatre.ask("all")

    assert asked(theatre) == ["a", "a", "a"]
    assert body["troupe"]["ensemble"]["support_01"] == 1.0


async def test_a_pipeline_hands_the_draft_to_the_critic_and_both_to_the_last() -> None:
    scripts = {"a": {"reply": "draft one"}, "b": {"reply": "too short"}, "c": {}}
    theatre = Theatre(scripts, ensemble(strategy="pipeline"))

    said = (await theatre.ask("all"))["choices"][0]["message"]["content"]

    assert asked(theatre) == ["a", "b", "c"]
    assert "<draft>\ndraft one\n</draft>" in said
    assert "<criticism>\ntoo short\n</criticism>" in said


async def test_a_draft_stands_where_critic_and_reviser_fail() -> None:
    theatre = Theatre({**says(a="draft one"), "b": FAILS, "c": FAILS}, ensemble(strategy="pipeline"))

    body = await theatre.ask("all")

    assert body["choices"][0]["message"]["content"] == "draft one"
    assert body["troupe"]["ensemble"]["reasons"] == ["'b' failed: upstream_error", "'c' failed: upstream_error"]


async def test_a_writer_sees_every_answer() -> None:
    theatre = Theatre({**says(**ANSWERS), "w": {}}, ensemble(merge="synthesize", judge="w"))

    body = await theatre.ask("all")

    said = body["choices"][0]["message"]["content"]
    assert all(f"<answer>\n{text}\n</answer>" in said for text in ANSWERS.values())
    assert (body["troupe"]["ensemble"]["winner"], sorted(asked(theatre))) == ("w", ["a", "b", "c", "w"])


async def test_the_consensus_stands_where_the_writer_fails() -> None:
    theatre = Theatre({**says(**ANSWERS), "w": FAILS}, ensemble(merge="synthesize", judge="w"))

    body = await theatre.ask("all")

    told = body["troupe"]["ensemble"]
    assert body["choices"][0]["message"]["content"] == ANSWERS["a"]
    assert (told["degraded"], told["reasons"]) == (True, ["'w' failed: upstream_error"])


async def test_the_writers_words_are_streamed_as_they_come_with_the_usage_of_all() -> None:
    theatre = Theatre({**says(**ANSWERS), "w": {"reply": "It is 42."}}, ensemble(merge="synthesize", judge="w"))

    events = await theatre.events("all", include_usage=True)

    pieces = [event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"]]
    assert "".join(pieces) == "It is 42."
    assert len([piece for piece in pieces if piece]) > 1
    assert events[-1]["troupe"]["ensemble"]["winner"] == "w"
    assert events[-1]["usage"]["completion_tokens"] == sum(
        attempt.usage.completion_tokens for attempt in theatre.records[-1].attempts if attempt.usage
    )
