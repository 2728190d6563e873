"""Is a stream handed on whole, and closed once?"""

from collections.abc import AsyncGenerator

from actors.protocol.streams import HandedOn


async def letters() -> AsyncGenerator[str, None]:
    for letter in "abc":
        yield letter


async def test_what_was_taken_already_comes_first_and_in_order() -> None:
    rest = letters()
    first, second = await anext(rest), await anext(rest)

    assert [letter async for letter in HandedOn(rest, rest.aclose, first, second)] == ["a", "b", "c"]


async def test_closing_it_does_what_was_asked_for_once_and_ends_it() -> None:
    rest, closed = letters(), []

    async def close() -> None:
        closed.append("closed")
        await rest.aclose()

    stream = HandedOn(rest, close, "first")
    await stream.aclose()
    await stream.aclose()

    assert closed == ["closed"]
    assert [letter async for letter in stream] == []
