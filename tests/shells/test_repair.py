"""Does a stream that breaks off go on without a seam, or else end as broken?"""

from typing import Any

import orjson
import pytest

from actors.orchestrating.chunks import Sent
from actors.orchestrating.repairing import resumed
from actors.protocol.errors import LLMError, MalformedAnswer
from actors.protocol.messages import Chunk
from actors.routing.table import ModelRecord, Supports
from tests.shells.test_orchestrator import Theatre, request, text_of

TEXT = "one two three four five six"
CUT = {"reply": TEXT, "faults": [{"on": 1, "kind": "cut", "after_tokens": 3}]}
ALWAYS_CUT = {"reply": TEXT, "faults": [{"kind": "cut", "after_tokens": 3}]}
FIRST = ModelRecord("first", "failover", ["a", "b"])


async def read(theatre: Theatre, model: str = "first", **fields: Any) -> tuple[list[dict[str, Any]], str | None]:
    """The events that came, and the code of the error that ended them."""
    reply = await theatre.orchestrator.open_stream(request(model, stream=True, **fields), theatre.table)
    found = []
    try:
        async for event in reply.events:
            found.append(orjson.loads(event))  # noqa: PERF401  # what came before the error counts
    except LLMError as error:
        return found, error.code
    return found, None


async def test_the_same_backend_goes_on_where_it_broke_off() -> None:
    theatre = Theatre({"a": CUT, "b": {"reply": "never asked"}}, FIRST)

    events, error = await read(theatre)

    assert (text_of(events), error) == (TEXT, None)
    assert [event["choices"][0]["finish_reason"] for event in events][-1] == "stop"
    assert len({event["id"] for event in events}) == 1
    assert [attempt["outcome"] for attempt in events[-1]["troupe"]["attempts"]] == ["malformed_answer", "ok"]


async def test_another_member_goes_on_when_it_says_the_same() -> None:
    theatre = Theatre({"a": ALWAYS_CUT, "b": {"reply": TEXT}}, FIRST)

    events, error = await read(theatre)

    assert (text_of(events), error) == (TEXT, None)
    assert events[-1]["troupe"]["backend"] == "b"
    assert [attempt["backend"] for attempt in events[-1]["troupe"]["attempts"]] == ["a", "a", "b"]


async def test_an_answer_that_says_something_else_is_not_joined() -> None:
    theatre = Theatre({"a": ALWAYS_CUT, "b": {"reply": "one two and more"}}, FIRST)

    events, error = await read(theatre)

    assert (text_of(events), error) == ("one two three", "malformed_answer")
    assert theatre.records[0].outcome == "malformed_answer"
    assert theatre.providers["b"].stats().in_flight == 0


async def test_an_answer_that_only_repeats_and_ends_is_not_joined() -> None:
    theatre = Theatre({"a": ALWAYS_CUT, "b": {"reply": "one two"}}, FIRST)

    assert (await read(theatre))[1] == "malformed_answer"


async def test_a_backend_that_takes_a_beginning_goes_on_from_it() -> None:
    replies = [TEXT, " four, and so on"]
    theatre = Theatre({"a": {"replies": replies, "faults": [{"on": 1, "kind": "cut", "after_tokens": 3}]}})
    theatre.changed(supports=Supports(prefill=True), max_retries=1)

    events, error = await read(theatre, "a")

    assert (text_of(events), error) == ("one two three four, and so on", None)


async def test_a_silent_backend_is_not_asked_for_the_rest() -> None:
    silent = {"reply": TEXT, "faults": [{"kind": "stall", "after_tokens": 3}]}
    theatre = Theatre({"a": silent, "b": {"reply": TEXT}}, FIRST)
    theatre.changed(stall_timeout_s=0.05)

    events, error = await read(theatre)

    assert (text_of(events), error) == (TEXT, None)
    assert [attempt["outcome"] for attempt in events[-1]["troupe"]["attempts"]] == ["timeout", "ok"]


async def test_tool_calls_are_never_joined() -> None:
    tool = {"text": TEXT, "tool_calls": [{"name": "look_up", "arguments": {}}]}
    theatre = Theatre({"a": {"replies": [tool]}})
    reply = await theatre.orchestrator.open_stream(request("a", stream=True), theatre.table)
    events = [orjson.loads(event) async for event in reply.events]
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"

    sent = Sent()
    sent.note(Chunk(b"{}", TEXT))
    assert sent.is_plain
    sent.note(Chunk(b"{}", is_plain=False))
    assert await resumed(None, None, "a", sent, MalformedAnswer("cut")) is None  # type: ignore[arg-type]  # nobody is asked


async def test_the_rest_is_asked_for_within_the_requests_attempts() -> None:
    theatre = Theatre({"a": ALWAYS_CUT, "b": ALWAYS_CUT}, ModelRecord("first", "failover", ["a", "b"], max_attempts=2))

    _, error = await read(theatre)

    assert error == "malformed_answer"
    assert len(theatre.records[0].attempts) == 2


@pytest.mark.parametrize(("held_back", "text"), [(0, "one two three"), (4, "quite another answer")])
async def test_what_is_held_back_can_be_answered_by_another_member_altogether(held_back: int, text: str) -> None:
    model = ModelRecord("first", "failover", ["a", "b"], hold_back_chunks=held_back)
    theatre = Theatre({"a": ALWAYS_CUT, "b": {"reply": "quite another answer"}}, model)

    events, _ = await read(theatre)

    assert text_of(events) == text
