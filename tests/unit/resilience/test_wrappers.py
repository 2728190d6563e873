"""Does each wrapper do its one duty, also when things end early?"""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest

from actors.protocol.clock import ManualClock
from actors.protocol.errors import (
    BackendTimeout,
    BackendUnavailable,
    LLMRouterError,
    MalformedAnswer,
    Overloaded,
    RateLimited,
    RequestRefused,
)
from actors.protocol.messages import Attempt, Call, Chunk, Completion, JsonObject, Usage
from actors.protocol.ports import ModelPort
from actors.resilience.backoff import Backoff
from actors.resilience.limits import Gate
from actors.resilience.rates import Rates
from actors.resilience.retry import AttemptBudget, RetryPolicy
from actors.resilience.wrappers import Limits, TimeLimited, Trying, closing

CALL = Call("r1", {"messages": []}, 60.0)
USAGE = Usage(10, 5)
COMPLETION = Completion({}, "hi", "stop", USAGE)
CHUNKS = (Chunk(b"role"), Chunk(b"hi", "hi"), Chunk(b"end", "", "stop"), Chunk(b"usage", usage=USAGE))

Step = Chunk | Exception | None
"""What a stream does next: `None` is silence for ever."""


@dataclass
class ScriptedModel:
    """Each call plays the next script: chunks, then an error or silence; the last one is played again and again."""

    scripts: Sequence[Sequence[Step]] = (CHUNKS,)
    clock: ManualClock | None = None
    calls: list[Call] = field(default_factory=list)
    running: int = 0

    def _next(self, call: Call) -> Sequence[Step]:
        self.calls.append(call)
        return self.scripts[min(len(self.calls), len(self.scripts)) - 1]

    async def complete(self, call: Call) -> Completion:
        async with aclosing(self.stream(call)) as chunks:
            async for _ in chunks:
                pass
        return COMPLETION

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        script = self._next(call)
        self.running += 1
        try:
            for step in script:
                if self.clock is not None:
                    self.clock.advance(1.0)
                if step is None:
                    await asyncio.Event().wait()
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
        finally:
            self.running -= 1


async def text_of(port: ModelPort, call: Call = CALL) -> str:
    async with closing(port.stream(call)) as chunks:
        return "".join([chunk.text async for chunk in chunks])


class Rest:
    """A sleep that takes no time but moves the clock."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.slept_s: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.clock.advance(seconds)


def trying(
    model: ModelPort,
    gate: Gate | None = None,
    budget: AttemptBudget | None = None,
    rest: Rest | None = None,
    max_retries: int = 0,
    clock: ManualClock | None = None,
) -> Trying:
    rest = rest or Rest()
    return Trying(
        model,
        "b",
        gate or Gate("b", 8, 0),
        RetryPolicy(max_retries, Backoff(1.0, 4.0)),
        budget or AttemptBudget(9),
        random.Random(3),
        report=lambda _: None,
        sleep=rest,
        clock=clock or rest.clock,
    )


def retrying(model: ModelPort, budget: AttemptBudget, rest: Rest) -> Trying:
    return trying(model, budget=budget, rest=rest, max_retries=2)


# ---- permits ----


async def test_a_permit_is_held_for_the_length_of_a_call_and_given_back() -> None:
    gate = Gate("b", 1, 0)
    port = trying(ScriptedModel(), gate)

    assert (await port.complete(CALL)).text == "hi"
    assert await text_of(port) == "hi"
    assert gate.in_flight == 0


@pytest.mark.parametrize("script", [(BackendUnavailable("down"),), (CHUNKS[0], BackendUnavailable("down"))])
async def test_a_permit_comes_back_after_a_failure(script: Sequence[Step]) -> None:
    gate = Gate("b", 1, 0)
    port = trying(ScriptedModel([script]), gate)

    with pytest.raises(BackendUnavailable):
        await port.complete(CALL)
    with pytest.raises(BackendUnavailable):
        await text_of(port)
    assert gate.in_flight == 0


async def test_a_permit_comes_back_when_a_stream_is_closed_early() -> None:
    gate, model = Gate("b", 1, 0), ScriptedModel()

    async with closing(trying(model, gate).stream(CALL)) as chunks:
        await anext(chunks)
        assert (gate.in_flight, model.running) == (1, 1)

    assert (gate.in_flight, model.running) == (0, 0)


async def test_a_permit_comes_back_when_a_call_is_cancelled() -> None:
    gate, model = Gate("b", 1, 0), ScriptedModel([(None,)])
    calling = asyncio.create_task(trying(model, gate).complete(CALL))
    await asyncio.sleep(0)

    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling

    assert (gate.in_flight, model.running) == (0, 0)


async def test_beyond_the_queue_a_call_is_refused_and_the_model_not_asked() -> None:
    gate, model = Gate("b", 1, 0), ScriptedModel()
    await gate.enter(1.0)

    with pytest.raises(Overloaded):
        await trying(model, gate).complete(CALL)
    assert model.calls == []


async def test_the_time_spent_in_the_queue_is_taken_from_the_call() -> None:
    gate, model, clock = Gate("b", 1, 1), ScriptedModel(), ManualClock()
    await gate.enter(1.0)
    calling = asyncio.create_task(trying(model, gate, clock=clock).complete(CALL))
    await asyncio.sleep(0)

    clock.advance(20.0)
    gate.leave()
    await calling

    assert model.calls[0].time_left_s == 40.0


async def test_where_tokens_are_limited_a_call_is_charged_what_the_upstream_counted() -> None:
    rates = Rates(None, 6_000.0, ManualClock())  # 100 a second, 200 at once
    gate = Gate("b", 1, 0, rates=rates)
    call = Call("r1", {"messages": [{"content": "x" * 400}], "max_tokens": 50}, 60.0)

    await trying(ScriptedModel(), gate).complete(call)
    assert rates.wait_s(tokens=200) == pytest.approx(0.15)  # 15 of 200 are used
    await text_of(trying(ScriptedModel(), gate), call)
    assert rates.wait_s(tokens=200) == pytest.approx(0.3)


async def test_a_call_that_ends_without_a_count_keeps_its_price() -> None:
    rates = Rates(None, 6_000.0, ManualClock())
    port = trying(ScriptedModel([(BackendUnavailable("down"),)]), Gate("b", 1, 0, rates=rates))

    with pytest.raises(BackendUnavailable):
        await text_of(port, Call("r1", {"messages": [], "max_tokens": 100}, 60.0))

    assert rates.wait_s(tokens=200) == pytest.approx(1.0)


# ---- TimeLimited ----

TIGHT = Limits(timeout_s=0.0, ttft_timeout_s=0.0, stall_timeout_s=0.0)
PATIENT = Limits(timeout_s=60.0, ttft_timeout_s=60.0, stall_timeout_s=60.0)


async def test_an_answer_within_its_limits_passes() -> None:
    port = TimeLimited(ScriptedModel(), "b", PATIENT)

    assert (await port.complete(CALL)).text == "hi"
    assert await text_of(port) == "hi"


async def test_no_answer_is_ended_and_the_backend_and_its_limit_are_named() -> None:
    model = ScriptedModel([(None,)])

    with pytest.raises(BackendTimeout, match=r"'b' gave no answer within 0 s \(timeout_s\)") as failure:
        await TimeLimited(model, "b", TIGHT).complete(CALL)

    assert (failure.value.backend, model.running) == ("b", 0)


async def test_a_stream_without_a_first_chunk_is_ended() -> None:
    model = ScriptedModel([(None,)])

    with pytest.raises(BackendTimeout, match=r"no first token within 0 s \(ttft_timeout_s\)"):
        await text_of(TimeLimited(model, "b", TIGHT))
    assert model.running == 0


async def test_a_stream_that_falls_silent_is_ended_after_its_first_chunks() -> None:
    model = ScriptedModel([(*CHUNKS[:2], None)])
    limits = Limits(timeout_s=60.0, ttft_timeout_s=60.0, stall_timeout_s=0.0)
    seen: list[Chunk] = []

    async def listen() -> None:
        async for chunk in TimeLimited(model, "b", limits).stream(CALL):
            seen.append(chunk)  # noqa: PERF401  # what came before the error is the point

    with pytest.raises(BackendTimeout, match=r"fell silent .* \(stall_timeout_s\)"):
        await listen()

    assert (seen, model.running) == (list(CHUNKS[:2]), 0)


async def test_the_calls_own_time_is_a_limit_too() -> None:
    port = TimeLimited(ScriptedModel([(None,)]), "b", PATIENT)

    with pytest.raises(BackendTimeout, match="what the request's deadline left"):
        await port.complete(Call("r1", {}, 0.0))
    with pytest.raises(BackendTimeout, match="what the request's deadline left"):
        await text_of(port, Call("r1", {}, 0.0))


async def test_cancellation_is_not_taken_for_a_timeout() -> None:
    calling = asyncio.create_task(TimeLimited(ScriptedModel([(None,)]), "b", PATIENT).complete(CALL))
    await asyncio.sleep(0)

    calling.cancel()

    with pytest.raises(asyncio.CancelledError):
        await calling


# ---- trying again ----

DOWN = (BackendUnavailable("down", "b"),)


async def test_a_failed_call_is_made_again_with_the_time_that_is_left() -> None:
    model, rest = ScriptedModel([DOWN, DOWN, CHUNKS]), Rest()
    budget = AttemptBudget(5)

    completion = await retrying(model, budget, rest).complete(CALL)

    assert (completion.text, budget.left, len(rest.slept_s)) == ("hi", 2, 2)
    assert [call.time_left_s for call in model.calls] == [60.0, 60.0 - rest.slept_s[0], 60.0 - sum(rest.slept_s)]


async def test_a_stream_that_failed_before_its_first_chunk_is_begun_again() -> None:
    model = ScriptedModel([DOWN, CHUNKS])

    assert await text_of(retrying(model, AttemptBudget(5), Rest())) == "hi"
    assert len(model.calls) == 2


async def test_a_stream_that_has_begun_is_never_begun_again() -> None:
    model = ScriptedModel([(CHUNKS[0], MalformedAnswer("cut", "b")), CHUNKS])

    with pytest.raises(MalformedAnswer):
        await text_of(retrying(model, AttemptBudget(5), Rest()))
    assert len(model.calls) == 1


@pytest.mark.parametrize("error", [RequestRefused("no"), BackendTimeout("silent"), Overloaded("full")])
async def test_some_errors_are_not_tried_again_on_the_same_backend(error: Exception) -> None:
    model = ScriptedModel([(error,)])

    with pytest.raises(type(error)):
        await retrying(model, AttemptBudget(5), Rest()).complete(CALL)
    with pytest.raises(type(error)):
        await text_of(retrying(model, AttemptBudget(5), Rest()))
    assert len(model.calls) == 2


async def test_a_rate_limit_is_waited_out_only_if_the_call_has_the_time() -> None:
    limited = (RateLimited("slow down", "b", retry_after_s=30.0),)
    patient, hasty = ScriptedModel([limited, CHUNKS]), ScriptedModel([limited, CHUNKS])
    rest = Rest()

    assert (await retrying(patient, AttemptBudget(5), rest).complete(CALL)).text == "hi"
    assert 30.0 <= rest.slept_s[0] <= 31.0
    with pytest.raises(RateLimited):
        await retrying(hasty, AttemptBudget(5), rest).complete(Call("r1", {}, 29.0))
    assert len(hasty.calls) == 1


async def test_all_tries_of_a_request_come_out_of_one_budget() -> None:
    first, second, budget, rest = ScriptedModel([DOWN]), ScriptedModel([DOWN]), AttemptBudget(4), Rest()

    for model in (first, second):
        with pytest.raises(BackendUnavailable):
            await retrying(model, budget, rest).complete(CALL)

    assert (len(first.calls), len(second.calls), budget.left) == (3, 1, 0)


async def test_without_any_budget_the_model_is_not_asked() -> None:
    model = ScriptedModel()

    with pytest.raises(LLMRouterError, match="max_attempts") as failure:
        await retrying(model, AttemptBudget(0), Rest()).complete(CALL)
    with pytest.raises(LLMRouterError, match="max_attempts"):
        await text_of(retrying(model, AttemptBudget(0), Rest()))

    assert (failure.value.code, model.calls) == ("attempts_exhausted", [])


# ---- reports ----


def observed(model: ScriptedModel, clock: ManualClock) -> tuple[Trying, list[Attempt]]:
    port = trying(model, clock=clock)
    port.cost_usd = lambda usage: usage.total_tokens / 100
    attempts: list[Attempt] = []
    port.report = attempts.append
    return port, attempts


async def test_a_success_is_reported_with_its_time_usage_and_cost() -> None:
    clock = ManualClock()
    port, attempts = observed(ScriptedModel(clock=clock), clock)

    await port.complete(CALL)
    await text_of(port)

    # The scripted model takes 1 s per chunk; the first text is in the second one.
    assert attempts[0] == Attempt("b", "ok", 4000.0, None, USAGE, 0.15, started_ms=0.0)
    assert attempts[1] == Attempt("b", "ok", 4000.0, 2000.0, USAGE, 0.15, started_ms=4000.0)


def counted_by_chars(body: JsonObject, text: str) -> Usage:
    return Usage(len(body["messages"]), len(text), estimated=True)


async def test_what_the_upstream_does_not_count_is_estimated_also_of_a_stream_that_breaks_off() -> None:
    cut: list[Step] = [Chunk(b"1", "one"), Chunk(b"2", " two"), MalformedAnswer("cut", "b")]
    port, attempts = observed(ScriptedModel([CHUNKS[:3], cut]), ManualClock())
    port.count = counted_by_chars

    await text_of(port)
    with pytest.raises(MalformedAnswer):
        await text_of(port)

    assert [(attempt.usage, attempt.cost_usd) for attempt in attempts] == [
        (Usage(0, 2, estimated=True), 0.02),
        (Usage(0, 7, estimated=True), 0.07),
    ]


async def test_nothing_is_estimated_where_the_upstream_counts_or_nothing_was_said() -> None:
    port, attempts = observed(ScriptedModel([CHUNKS, DOWN]), ManualClock())
    port.count = counted_by_chars

    await text_of(port)
    with pytest.raises(BackendUnavailable):
        await text_of(port)

    assert [attempt.usage for attempt in attempts] == [USAGE, None]


async def test_a_failure_is_reported_with_its_code() -> None:
    clock = ManualClock()
    port, attempts = observed(ScriptedModel([DOWN], clock), clock)

    with pytest.raises(BackendUnavailable):
        await port.complete(CALL)
    with pytest.raises(BackendUnavailable):
        await text_of(port)

    code = "backend_unavailable"
    assert attempts == [Attempt("b", code, 1000.0, started_ms=0.0), Attempt("b", code, 1000.0, started_ms=1000.0)]


async def test_a_call_that_is_cancelled_is_reported_as_such() -> None:
    port, attempts = observed(ScriptedModel([(None,)]), ManualClock())
    calling = asyncio.create_task(port.complete(CALL))
    await asyncio.sleep(0)

    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling

    assert attempts == [Attempt("b", "cancelled", 0.0, started_ms=0.0)]


@pytest.mark.parametrize(("read", "outcome"), [(1, "cancelled"), (2, "cancelled"), (3, "ok")])
async def test_a_stream_that_is_closed_is_cancelled_unless_the_answer_was_whole(read: int, outcome: str) -> None:
    port, attempts = observed(ScriptedModel(), ManualClock())

    async with closing(port.stream(CALL)) as chunks:
        for _ in range(read):
            await anext(chunks)

    assert [attempt.outcome for attempt in attempts] == [outcome]


async def test_a_stream_without_text_is_timed_by_its_first_chunk() -> None:
    clock = ManualClock()
    port, attempts = observed(ScriptedModel([(Chunk(b"tool"), Chunk(b"end", "", "tool_calls"))], clock), clock)

    await text_of(port)

    assert attempts[0].ttft_ms == 1000.0


async def test_a_bug_below_is_reported_and_passed_on() -> None:
    port, attempts = observed(ScriptedModel([(KeyError("bug"),)]), ManualClock())

    with pytest.raises(KeyError):
        await port.complete(CALL)
    assert attempts[0].outcome == "internal_error"


# ---- all together ----


async def test_nested_they_play_together_and_leave_nothing_running() -> None:
    model, gate, rest = ScriptedModel([DOWN, (*CHUNKS[:2], None)]), Gate("b", 1, 0), Rest()
    attempts: list[Attempt] = []
    limits = Limits(60.0, 60.0, 0.0)
    port = trying(TimeLimited(model, "b", limits), gate, AttemptBudget(6), rest, max_retries=2)
    port.report = attempts.append

    with pytest.raises(BackendTimeout):
        await text_of(port)

    assert [attempt.outcome for attempt in attempts] == ["backend_unavailable", "timeout"]
    assert (model.running, gate.in_flight) == (0, 0)
