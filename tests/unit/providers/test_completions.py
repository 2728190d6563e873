"""Events that differ from the one before in their text alone are read as if they had been parsed."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.protocol.errors import BackendError
from actors.protocol.messages import Chunk
from actors.providers.completions import Mould, StreamReading
from actors.providers.refusals import Refusals
from actors.providers.sse import ServerEvent


def event(text: str, **changes: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return orjson.dumps({"id": "c1", "choices": [choice], **changes})


def reading() -> StreamReading:
    return StreamReading("b", Refusals("b", None))


def read(*events: bytes) -> Chunk | None:
    """What the last of the events is read as."""
    one = reading()
    chunks = [one.chunk(ServerEvent(data)) for data in events]
    return chunks[-1]


def mould(text: str = "Hi") -> Mould:
    found = Mould.of(event(text), text)
    assert found is not None
    return found


@given(st.text())
def test_a_text_is_the_same_whether_parsed_or_not(text: str) -> None:
    assert read(event("Hi"), event(text)) == read(event(text))


@given(st.text())
def test_so_is_one_that_is_escaped_to_ascii(text: str) -> None:
    spaced = json.dumps(json.loads(event(text))).encode()

    assert read(json.dumps(json.loads(event("Hi"))).encode(), spaced) == read(spaced)


def test_a_plain_text_is_not_parsed_again() -> None:
    assert mould().text_of(event(" there, you")) == " there, you"


@pytest.mark.parametrize("text", ['"', "\\", "\n", "\u2028", 'x", "role": "y'])
def test_what_json_escapes_is_parsed(text: str) -> None:
    assert mould().text_of(event(text)) is None


@pytest.mark.parametrize("raw", [b"\xff", b"a\nb", b"\x00"])
def test_what_is_no_json_is_not_taken_for_text(raw: bytes) -> None:
    assert mould().text_of(event("@").replace(b"@", raw)) is None


def test_an_event_that_says_more_is_parsed() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2}

    chunk = read(event("Hi"), event("!", usage=usage))

    assert chunk is not None
    assert chunk.usage is not None


def test_an_event_that_holds_content_twice_makes_no_mould() -> None:
    twice = event("Hi", note={"content": "Hi"})

    assert Mould.of(twice, "Hi") is None


def test_a_named_error_is_one_though_it_looks_like_text() -> None:
    one = reading()
    one.chunk(ServerEvent(event("Hi")))

    with pytest.raises(BackendError):
        one.chunk(ServerEvent(event("Ho"), b"error"))


def test_an_answer_is_whole_when_all_its_choices_have_finished() -> None:
    one = reading()
    choices: list[dict[str, Any]] = [{"index": index, "delta": {}, "finish_reason": "stop"} for index in (0, 1)]

    one.chunk(ServerEvent(event("Hi")))
    one.chunk(ServerEvent(event("", choices=[{"index": 1, "delta": {"content": "Ho"}}])))
    one.chunk(ServerEvent(event("", choices=choices[:1])))
    half = one.is_whole
    one.chunk(ServerEvent(event("", choices=choices[1:])))

    assert (half, one.is_whole) == (False, True)
