"""Is one member streamed at once, while all vote, and does the end of the stream say what came of it?"""

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from actors.protocol.errors import LLMError
from actors.routing.table import ModelRecord
from tests.shells.test_orchestrator import FAILS, HANGS, Theatre, request, says, text_of

AGREED = {"a": "The answer is 42.", "b": "I get 42.", "c": "The answer is 41."}


def led(**changes: Any) -> ModelRecord:
    return ModelRecord("all", "ensemble", ["a", "b", "c"], **{"stream_leader": True, "quorum": 3, **changes})


async def test_the_leaders_words_are_streamed_and_the_last_event_attests_them_with_the_usage_of_all() -> None:
    theatre = Theatre(says(**AGREED), led())

    events = await theatre.events("all", include_usage=True)

    told = events[-1]["troupe"]
    assert text_of(events) == AGREED["a"]
    assert len([event for event in events if event["choices"]]) > 3  # in pieces, as it was written
    assert (told["backend"], told["ensemble"]["streamed"], told["ensemble"]["attested"]) == ("a", "a", True)
    assert {vote["backend"]: vote["answer"] for vote in told["ensemble"]["votes"]} == {"a": "42", "b": "42", "c": "41"}
    assert sorted(attempt["backend"] for attempt in told["attempts"]) == ["a", "b", "c"]  # nobody is asked twice
    assert events[-1]["usage"]["completion_tokens"] == 4 + 3 + 4


async def test_a_vote_against_the_leader_is_told() -> None:
    theatre = Theatre(says(a="It is 41.", b="It is 42.", c="I get 42."), led(merge="majority_vote"))

    told = (await theatre.events("all"))[-1]["troupe"]["ensemble"]

    assert (told["streamed"], told["attested"]) == ("a", False)
    assert told["winner"] in ("b", "c")
    assert told["reasons"] == ["the vote gave another answer than that of 'a', which was streamed"]


async def test_the_leader_is_the_member_that_counts_most() -> None:
    theatre = Theatre(says(**AGREED), led())
    heavy = replace(theatre.table.backends["b"], weight=2.0)
    theatre.table = replace(theatre.table, backends={**theatre.table.backends, "b": heavy})

    assert text_of(await theatre.events("all")) == AGREED["b"]


async def test_words_come_before_the_others_have_answered() -> None:
    theatre = Theatre({**says(a="It is 42.", b="42"), "c": HANGS}, led(deadline_s=0.2))
    reply = await theatre.orchestrator.open_stream(request("all", stream=True), theatre.table)

    first = orjson.loads(await anext(event async for event in reply.events if event))
    rest = [orjson.loads(event) async for event in reply.events if event]

    assert first["choices"]
    told = rest[-1]["troupe"]["ensemble"]
    assert (told["attested"], told["degraded"], told["answered"]) == (True, True, 2)


async def test_where_the_leader_gives_no_word_the_others_answer() -> None:
    theatre = Theatre({"a": FAILS, **says(b="It is 42.", c="42")}, led())

    events = await theatre.events("all")

    told = events[-1]["troupe"]["ensemble"]
    assert "42" in text_of(events)
    assert "streamed" not in told
    assert [failure["backend"] for failure in told["failures"]] == ["a"]


async def test_a_leader_that_breaks_off_ends_the_stream_with_its_error() -> None:
    cut = {"reply": "one two three four", "faults": [{"kind": "cut"}]}
    theatre = Theatre({"a": cut, **says(b="42", c="42")}, led())

    with pytest.raises(LLMError):
        await theatre.events("all")

    assert theatre.records[-1].outcome != "ok"


async def test_a_vote_that_is_over_does_not_cut_the_leader_short() -> None:
    slow = {"reply": "I would say that it is 42.", "tokens_per_s": 100}
    theatre = Theatre({"a": slow, **says(b="42", c="42")}, led(merge="majority_vote", quorum=2))

    events = await theatre.events("all")

    assert text_of(events) == "I would say that it is 42."
    assert events[-1]["troupe"]["ensemble"]["attested"] is True


async def test_a_caller_who_leaves_ends_the_leader_and_the_vote() -> None:
    theatre = Theatre({"a": {"reply": "one two", "tokens_per_s": 5}, "b": HANGS, "c": HANGS}, led())
    reply = await theatre.orchestrator.open_stream(request("all", stream=True), theatre.table)
    await anext(event async for event in reply.events if event)

    await reply.events.aclose()

    assert {provider.stats().in_flight for provider in theatre.providers.values()} == {0}
    assert len([task for task in asyncio.all_tasks() if not task.done()]) == 1  # this one


async def test_with_tools_the_vote_comes_first() -> None:
    theatre = Theatre(says(**AGREED), led())
    body = {"messages": [{"role": "user", "content": "What is 6 times 7?"}], "tools": [{"type": "function"}]}

    told = (await theatre.events("all", body=body))[-1]["troupe"]["ensemble"]

    assert "streamed" not in told
