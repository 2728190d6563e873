"""Does silence end a wait in time, and nothing else end it?"""

import asyncio
from collections.abc import Awaitable
from contextlib import closing

import pytest

from actors.protocol.clock import SYSTEM_CLOCK, ManualClock
from actors.protocol.errors import BackendTimeout
from actors.providers.patience import Patience


async def value() -> str:
    return "here"


async def waited(patience: Patience, step: Awaitable[str]) -> str:
    with patience:
        return await step


async def never() -> str:
    await asyncio.Event().wait()
    return "never here"


async def test_what_comes_in_time_is_given() -> None:
    with closing(Patience("b", 60.0, 60.0, SYSTEM_CLOCK)) as patience:
        assert await waited(patience, value()) == "here"
        patience.renew(30.0)
        assert await waited(patience, value()) == "here"


async def test_silence_before_the_first_token_is_told_as_such() -> None:
    with (
        closing(Patience("b", 0.0, 60.0, SYSTEM_CLOCK)) as patience,
        pytest.raises(BackendTimeout, match="no first token"),
    ):
        await waited(patience, never())


async def test_a_shorter_limit_counts_from_the_renewal_on_though_the_timer_was_set_for_the_longer_one() -> None:
    with closing(Patience("b", 60.0, 60.0, SYSTEM_CLOCK)) as patience:
        await waited(patience, value())
        patience.renew(0.0)
        with pytest.raises(BackendTimeout, match="stopped in the middle of its answer for 0 s"):
            await waited(patience, never())


async def test_a_longer_limit_outlives_the_timer_that_was_set_for_the_shorter_one() -> None:
    with closing(Patience("b", 0.001, 60.0, SYSTEM_CLOCK)) as patience:
        await waited(patience, value())
        patience.renew(60.0)
        assert await waited(patience, asyncio.sleep(0.01, "late, but in time")) == "late, but in time"


async def test_the_readers_own_time_does_not_count() -> None:
    clock = ManualClock()
    with closing(Patience("b", 20.0, 3600.0, clock)) as patience:
        await waited(patience, value())
        clock.advance(1000.0)
        assert await waited(patience, value()) == "here"


async def test_the_end_of_the_requests_time_is_told_apart() -> None:
    with (
        closing(Patience("b", 60.0, 0.0, SYSTEM_CLOCK)) as patience,
        pytest.raises(BackendTimeout, match="time was over"),
    ):
        await waited(patience, never())


async def test_a_cancellation_is_not_taken_for_a_timeout() -> None:
    async def wait() -> None:
        with closing(Patience("b", 60.0, 60.0, SYSTEM_CLOCK)) as patience:
            await waited(patience, never())

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_after_a_timeout_the_task_is_not_cancelled_any_more() -> None:
    with closing(Patience("b", 0.0, 60.0, SYSTEM_CLOCK)) as patience, pytest.raises(BackendTimeout):
        await waited(patience, never())

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)
