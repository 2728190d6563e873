"""Are streams cut into the events that their servers meant?"""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.protocol.errors import MalformedAnswer
from actors.providers.sse import EventReader, ServerEvent

STREAM = b": hello\r\nid: 1\ndata: one\n\nevent: error\r\ndata:two\r\ndata: three\r\n\r\nretry: 5\n\ndata: last\r\r"
EVENTS = [ServerEvent(b"one"), ServerEvent(b"two\nthree", b"error"), ServerEvent(b"last")]


def read(*parts: bytes) -> list[ServerEvent]:
    reader = EventReader("far")
    found = [event for part in parts for event in reader.feed(part)]
    return found + reader.finish()


def test_comments_ids_and_events_without_data_are_left_out() -> None:
    assert read(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_it_does_not_matter_where_the_network_cuts(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]

    parts = [STREAM[begin:end] for begin, end in pairwise(places)]

    assert read(*parts) == EVENTS


def test_byte_by_byte_is_the_same() -> None:
    assert read(*(bytes([byte]) for byte in STREAM)) == EVENTS


def test_only_the_first_space_after_the_colon_belongs_to_the_format() -> None:
    assert read(b"data:  x \n\n") == [ServerEvent(b" x ")]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert read(b"\xef\xbb\xbfdata: x\n\n") == [ServerEvent(b"x")]


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_the_last_event_may_lack_its_empty_line(end: bytes) -> None:
    assert read(b"data: one\n\ndata: [DONE]" + end) == [ServerEvent(b"one"), ServerEvent(b"[DONE]")]


def test_an_event_is_there_as_soon_as_its_empty_line_is() -> None:
    reader = EventReader("far")

    assert reader.feed(b"data: one\n") == []
    assert reader.feed(b"\ndata: tw") == [ServerEvent(b"one")]


@pytest.mark.parametrize(
    ("before", "last"),
    [(b"", b"data: 0123456789"), (b"xxxxx", b"xxxxxx"), (b"data: 01234\ndata: 56789\n", b"data: x\n")],
)
def test_a_line_or_event_above_the_limit_is_refused(before: bytes, last: bytes) -> None:
    reader = EventReader("far", max_bytes=10)
    reader.feed(before)

    with pytest.raises(MalformedAnswer, match="'far' sent an event above 10 bytes"):
        reader.feed(last)
