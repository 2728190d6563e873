"""Who gets an answer that was given before, and who never?"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import orjson
import pytest

from actors.edge.answer_cache import AnswerCache, AnswerStore
from actors.edge.gateway import ChatRequest, Reply, StreamedReply, Wishes
from actors.protocol.clock import ManualClock
from actors.protocol.errors import BackendTimeout
from actors.protocol.messages import DecisionRecord, JsonObject

ASK = ChatRequest(
    "req_1", "team", {"messages": [{"role": "user", "content": "hi"}], "seed": 1}, False, False, 1, Wishes(), "ann", 0.0
)
STREAM = replace(ASK, stream=True)


def body(number: int, finish: str = "stop", *, degraded: bool = False) -> JsonObject:
    troupe = {"request_id": f"first_{number}", "backend": "a", "cost_usd": 0.5, "ensemble": {"degraded": degraded}}
    return {"n": number, "choices": [{"finish_reason": finish}], "troupe": troupe}


class Stage:
    """Plays a new answer each time; `hold` keeps players waiting."""

    def __init__(self, finish: str = "stop", degraded: bool = False) -> None:
        self.played = 0
        self.failure: Exception | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self._finish = finish
        self._degraded = degraded

    async def play(self, request: ChatRequest) -> Reply:
        self.played += 1
        number = self.played
        await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        return Reply(body(number, self._finish, degraded=self._degraded), {})

    async def open(self, request: ChatRequest) -> StreamedReply:
        self.played += 1
        return StreamedReply({}, self._events(self.played))

    async def _events(self, number: int) -> AsyncGenerator[bytes, None]:
        yield b'{"delta":"4"}'
        yield b""
        if self.failure is not None:
            raise self.failure
        await self.hold.wait()
        yield orjson.dumps(body(number, self._finish))


class Desk:
    def __init__(self, max_entries: int = 10, max_bytes: int = 100_000) -> None:
        self.clock = ManualClock()
        self.hits: list[DecisionRecord] = []
        self.store = AnswerStore(60.0, max_entries, max_bytes, self.clock)
        self.cache = AnswerCache(self.store, self.hits.append, self.clock)

    async def ask(self, stage: Stage, request: ChatRequest = ASK) -> int:
        return int((await self.cache.complete(request, stage.play)).body["n"])

    async def listen(self, stage: Stage, request: ChatRequest = STREAM) -> list[bytes]:
        reply = await self.cache.open_stream(request, stage.open)
        async with aclosing(reply.events) as events:
            return [event async for event in events]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_the_same_question_again_is_answered_without_a_call_and_billed_as_saved(desk: Desk, stage: Stage) -> None:
    await desk.ask(stage)

    reply = await desk.cache.complete(replace(ASK, request_id="req_2"), stage.play)

    assert (stage.played, reply.body["n"], reply.headers["x-troupe-cache"]) == (1, 1, "hit")
    assert reply.body["troupe"]["request_id"] == "req_2"
    assert reply.body["troupe"]["cache"] == {"hit": True, "request_id": "first_1"}
    (hit,) = desk.hits
    assert (hit.request_id, hit.cost_usd, hit.saved_usd, hit.key_name) == ("req_2", 0.0, 0.5, "ann")


@pytest.mark.parametrize(
    "changes",
    [
        {"key_name": "bob"},
        {"key_name": None},
        {"model": "other"},
        {"body": {**ASK.body, "seed": 2}},
        {"body": {**ASK.body, "seed": 1.0}},
        {"wishes": Wishes(merge="majority_vote")},
    ],
)
async def test_another_key_or_another_question_never_sees_the_answer(
    desk: Desk, stage: Stage, changes: dict[str, object]
) -> None:
    await desk.ask(stage)

    assert await desk.ask(stage, replace(ASK, **changes)) == 2  # type: ignore[arg-type]
    assert not desk.hits


async def test_the_order_of_parameters_does_not_matter(desk: Desk, stage: Stage) -> None:
    await desk.ask(stage)

    assert await desk.ask(stage, replace(ASK, body=dict(reversed(ASK.body.items())))) == 1


async def test_an_answer_grows_old(desk: Desk, stage: Stage) -> None:
    await desk.ask(stage)
    desk.clock.advance(60.0)

    assert await desk.ask(stage) == 2


async def test_wishes_bypass_or_refresh_it(desk: Desk, stage: Stage) -> None:
    await desk.ask(stage)

    assert await desk.ask(stage, replace(ASK, wishes=Wishes(cache="bypass"))) == 2
    assert await desk.ask(stage) == 1
    assert await desk.ask(stage, replace(ASK, wishes=Wishes(cache="refresh"))) == 3
    assert await desk.ask(stage) == 3


@pytest.mark.parametrize(("finish", "degraded"), [("length", False), ("content_filter", False), ("stop", True)])
async def test_answers_that_are_not_whole_are_not_kept(desk: Desk, finish: str, degraded: bool) -> None:
    stage = Stage(finish, degraded)
    await desk.ask(stage)

    assert await desk.ask(stage) == 2


async def test_a_failure_is_told_to_all_who_wait_and_not_kept(desk: Desk, stage: Stage) -> None:
    stage.failure = BackendTimeout("late", "a")
    stage.hold.clear()
    asking = [asyncio.create_task(desk.ask(stage)) for _ in range(3)]
    await asyncio.sleep(0)
    stage.hold.set()

    assert [type(told) for told in await asyncio.gather(*asking, return_exceptions=True)] == [BackendTimeout] * 3
    assert stage.played == 1
    stage.failure = None
    assert await desk.ask(stage) == 2


async def test_many_who_ask_the_same_at_once_cause_one_call(desk: Desk, stage: Stage) -> None:
    stage.hold.clear()
    asking = [asyncio.create_task(desk.ask(stage)) for _ in range(5)]
    await asyncio.sleep(0)
    stage.hold.set()

    assert await asyncio.gather(*asking) == [1] * 5
    assert (stage.played, len(desk.hits)) == (1, 4)


async def test_when_the_first_caller_leaves_another_takes_its_place(desk: Desk, stage: Stage) -> None:
    stage.hold.clear()
    first, second = [asyncio.create_task(desk.ask(stage)) for _ in range(2)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    stage.hold.set()

    assert await second == 2


async def test_a_stream_is_replayed_event_by_event(desk: Desk, stage: Stage) -> None:
    await desk.listen(stage)

    first, last = await desk.listen(stage)

    assert (first, stage.played, orjson.loads(last)["troupe"]["cost_usd"]) == (b'{"delta":"4"}', 1, 0.0)


async def test_a_stream_that_broke_or_was_left_is_not_kept(desk: Desk, stage: Stage) -> None:
    stage.failure = BackendTimeout("late", "a")
    with pytest.raises(BackendTimeout):
        await desk.listen(stage)
    stage.failure = None
    stage.hold.clear()
    left = await desk.cache.open_stream(STREAM, stage.open)
    await anext(aiter(left.events))
    await left.events.aclose()

    assert len(desk.store) == 0


async def test_the_least_recently_used_go_first_by_number_and_by_size(stage: Stage) -> None:
    desk = Desk(max_entries=2)
    asks = [replace(ASK, model=name) for name in ("a", "b", "c")]
    for ask in (asks[0], asks[1], asks[0], asks[2]):
        await desk.ask(stage, ask)

    assert await desk.ask(stage, asks[0]) == 1
    assert await desk.ask(stage, asks[1]) == 4

    store = AnswerStore(60.0, 100, 800, ManualClock())
    for name in range(20):
        store.put(b"%02d" % name, [b"x" * 90])
    assert (len(store), store.size_bytes) == (8, 736)
    store.put(b"large", [b"x" * 96])
    assert store.get(b"large") is None


async def test_many_who_stream_the_same_at_once_cause_one_call_and_miss_nothing(desk: Desk, stage: Stage) -> None:
    first, *others = await asyncio.gather(*(desk.listen(stage) for _ in range(3)))

    assert [next(event for event in heard if event) for heard in (first, *others)] == [b'{"delta":"4"}'] * 3
    assert "cache" not in orjson.loads(first[-1])["troupe"]
    assert [orjson.loads(other[-1])["troupe"]["cache"]["hit"] for other in others] == [True, True]
    assert (stage.played, len(desk.hits), len(desk.store)) == (1, 2, 1)


async def test_a_shared_stream_goes_on_for_the_others_when_the_first_reader_leaves(desk: Desk, stage: Stage) -> None:
    first = await desk.cache.open_stream(STREAM, stage.open)
    second = await desk.cache.open_stream(STREAM, stage.open)
    await anext(aiter(first.events))
    await first.events.aclose()

    async with aclosing(second.events) as events:
        read = [event async for event in events if event]

    assert (stage.played, len(read), len(desk.store)) == (1, 2, 1)


async def test_a_shared_stream_that_nobody_reads_any_more_is_ended(desk: Desk) -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"{}"
                await asyncio.sleep(0)
        finally:
            ended.set()

    async def open_endless(_: ChatRequest) -> StreamedReply:
        return StreamedReply({}, endless())

    readers = [await desk.cache.open_stream(STREAM, open_endless) for _ in range(2)]
    await anext(aiter(readers[0].events))
    await readers[0].events.aclose()
    assert not ended.is_set()

    await readers[1].events.aclose()  # it never read anything

    assert ended.is_set()
    assert len(desk.store) == 0


async def test_a_stream_that_fails_fails_for_all_who_read_it(desk: Desk, stage: Stage) -> None:
    stage.failure = BackendTimeout("late", "a")

    told = await asyncio.gather(*(desk.listen(stage) for _ in range(3)), return_exceptions=True)

    assert [type(one) for one in told] == [BackendTimeout] * 3
    assert (stage.played, len(desk.store)) == (1, 0)


async def waiting_for(desk: Desk, stage: Stage, count: int) -> list["asyncio.Task[int]"]:
    stage.hold.clear()
    asking = [asyncio.create_task(desk.ask(stage, replace(ASK, request_id=f"req_{n}"))) for n in range(count)]
    await asyncio.sleep(0)
    return asking


async def test_everyone_who_waited_for_a_call_that_failed_is_on_record(desk: Desk, stage: Stage) -> None:
    asking = await waiting_for(desk, stage, 3)
    stage.failure = BackendTimeout("too late", "a")
    stage.hold.set()

    await asyncio.gather(*asking, return_exceptions=True)

    assert stage.played == 1
    assert [(one.request_id, one.outcome, one.status, one.strategy) for one in desk.hits] == [
        ("req_1", "timeout", 504, "cache"),
        ("req_2", "timeout", 504, "cache"),
    ]


async def test_one_who_stopped_waiting_is_on_record(desk: Desk, stage: Stage) -> None:
    player, left = await waiting_for(desk, stage, 2)

    left.cancel()
    await asyncio.wait([left])
    stage.hold.set()
    await player

    assert [(one.request_id, one.outcome, one.status) for one in desk.hits] == [("req_1", "cancelled", 499)]


async def test_a_reader_of_a_stream_that_broke_is_on_record_and_once(desk: Desk, stage: Stage) -> None:
    stage.failure = BackendTimeout("too late", "a")

    readers = (desk.listen(stage, replace(STREAM, request_id=name)) for name in ("req_1", "req_2"))
    await asyncio.gather(*readers, return_exceptions=True)

    assert [(one.request_id, one.outcome, one.stream) for one in desk.hits] == [("req_2", "timeout", True)]


async def test_a_reader_who_left_in_the_middle_is_on_record_and_the_other_reads_on(desk: Desk, stage: Stage) -> None:
    stage.hold.clear()
    first = asyncio.create_task(desk.listen(stage))
    await asyncio.sleep(0)
    second = await desk.cache.open_stream(replace(STREAM, request_id="req_2"), stage.open)

    await second.events.aclose()
    stage.hold.set()

    assert len(await first) >= 2
    assert [(one.request_id, one.outcome) for one in desk.hits] == [("req_2", "cancelled")]
