"""Does a second answer go on only where it has proven to be the same?"""

import pytest

from actors.resilience.splicing import MISMATCH, Splice


def fed(sent: str, *pieces: str) -> list[str | None]:
    splice = Splice(sent)
    return [splice.feed(piece) for piece in pieces]


@pytest.mark.parametrize(
    ("pieces", "new"),
    [
        (("Hello world, again",), [", again"]),
        (("Hel", "lo wor", "ld", ", again"), ["", "", "", ", again"]),
        (("Hello", " world,", " again"), ["", ",", " again"]),
        (("", "Hello world"), ["", ""]),
    ],
)
def test_what_was_sent_is_dropped_and_the_rest_passes(pieces: tuple[str, ...], new: list[str]) -> None:
    assert fed("Hello world", *pieces) == new


@pytest.mark.parametrize(
    "pieces", [("hello world",), ("Hello", "  world"), ("Hello word and more",), ("Hello wo", "x")]
)
def test_another_answer_is_known_by_its_first_other_letter(pieces: tuple[str, ...]) -> None:
    assert fed("Hello world", *pieces)[-1] is MISMATCH


def test_it_is_caught_up_only_when_all_was_repeated() -> None:
    splice = Splice("Hello")
    splice.feed("Hell")
    assert not splice.is_caught_up
    splice.feed("o")
    assert splice.is_caught_up


def test_where_nothing_was_sent_everything_is_new() -> None:
    assert fed("", "Hello") == ["Hello"]
