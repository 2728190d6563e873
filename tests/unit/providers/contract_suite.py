"""What must every provider do? One suite for all of them."""

import asyncio
import pickle
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

import orjson
import pytest

from actors.protocol.errors import LLMError
from actors.protocol.messages import Call, Chunk
from actors.protocol.ports import Provider


@dataclass(frozen=True, slots=True)
class Subject:
    """A started provider, and what the suite needs to know of it.

    `asks` always gets the same short answer of several tokens; `asks_long` gets one that takes longer than the suite
    waits; `asks_in_vain` is refused. `running` counts the pieces of work behind the provider now (requests, slots),
    `completions` those ever asked for. `patience_s` is what it may take to stop one.
    """

    provider: Provider
    asks: Call
    asks_long: Call
    asks_in_vain: Call
    running: Callable[[], int]
    completions: Callable[[], int]
    patience_s: float = 1.0


async def streamed(provider: Provider, call: Call) -> list[Chunk]:
    """All chunks of an answer."""
    async with aclosing(provider.stream(call)) as chunks:  # type: ignore[type-var]  # providers hand out generators
        return [chunk async for chunk in chunks]


async def becomes(count: Callable[[], int], wanted: int, patience_s: float) -> bool:
    """Whether `count` reaches `wanted` in time."""
    for _ in range(int(patience_s / 0.005)):
        if count() == wanted:
            return True
        await asyncio.sleep(0.005)
    return count() == wanted


class ProviderContract:
    """To be inherited by a `Test...` class that has, or finds, a fixture `subject`."""

    async def test_a_whole_answer_has_text_finish_reason_and_usage(self, subject: Subject) -> None:
        completion = await subject.provider.complete(subject.asks)

        assert completion.text
        assert completion.finish_reason in ("stop", "length")
        assert completion.usage is not None
        assert completion.usage.prompt_tokens > 0
        assert completion.usage.completion_tokens > 0
        assert completion.logprob_mean is None or completion.logprob_mean <= 0

    async def test_the_body_is_an_openai_completion_that_says_the_same(self, subject: Subject) -> None:
        completion = await subject.provider.complete(subject.asks)

        choice = completion.body["choices"][0]
        assert completion.body["object"] == "chat.completion"
        assert choice["message"]["role"] == "assistant"
        assert choice["message"]["content"] == completion.text
        assert choice["finish_reason"] == completion.finish_reason
        assert completion.body["usage"]["completion_tokens"] == completion.usage.completion_tokens  # type: ignore[union-attr]

    async def test_a_stream_says_what_a_whole_answer_says(self, subject: Subject) -> None:
        completion = await subject.provider.complete(subject.asks)

        chunks = await streamed(subject.provider, subject.asks)

        assert "".join(chunk.text for chunk in chunks) == completion.text
        assert sum(bool(chunk.text) for chunk in chunks) > 1

    async def test_a_stream_ends_with_finish_reason_and_usage(self, subject: Subject) -> None:
        completion = await subject.provider.complete(subject.asks)

        chunks = await streamed(subject.provider, subject.asks)

        reasons = [chunk.finish_reason for chunk in chunks if chunk.finish_reason]
        assert reasons == [completion.finish_reason]
        after = chunks[[bool(chunk.finish_reason) for chunk in chunks].index(True) + 1 :]
        assert all(chunk.usage is not None and not chunk.text for chunk in after)
        assert [chunk.usage for chunk in chunks if chunk.usage][-1] == completion.usage

    async def test_each_chunk_holds_the_openai_event_that_it_tells_of(self, subject: Subject) -> None:
        chunks = await streamed(subject.provider, subject.asks)

        events = [orjson.loads(chunk.data) for chunk in chunks]
        assert {event["object"] for event in events} == {"chat.completion.chunk"}
        deltas = [choice["delta"].get("content") or "" for event in events for choice in event["choices"]]
        assert "".join(deltas) == "".join(chunk.text for chunk in chunks)

    async def test_unknown_parameters_break_nothing(self, subject: Subject) -> None:
        call = subject.asks.asking(no_such_parameter={"of": ["ours", 1]}, user="somebody")

        assert (await subject.provider.complete(call)).text
        assert await streamed(subject.provider, call)

    async def test_the_caller_s_body_is_left_as_it_was(self, subject: Subject) -> None:
        before = orjson.dumps(subject.asks.body)

        await subject.provider.complete(subject.asks)
        await streamed(subject.provider, subject.asks)

        assert orjson.dumps(subject.asks.body) == before

    async def test_several_calls_run_side_by_side(self, subject: Subject) -> None:
        alone = await subject.provider.complete(subject.asks)

        together = await asyncio.gather(*(subject.provider.complete(subject.asks) for _ in range(3)))

        assert [completion.text for completion in together] == [alone.text] * 3

    async def test_cancelling_a_whole_answer_stops_the_work(self, subject: Subject) -> None:
        asking = asyncio.create_task(subject.provider.complete(subject.asks_long))
        assert await becomes(subject.running, 1, subject.patience_s)

        asking.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await becomes(subject.running, 0, subject.patience_s)

    async def test_closing_a_stream_early_stops_the_work(self, subject: Subject) -> None:
        async with aclosing(subject.provider.stream(subject.asks_long)) as chunks:  # type: ignore[type-var]
            await anext(chunks)
            assert subject.running() == 1

        assert await becomes(subject.running, 0, subject.patience_s)

    async def test_cancelling_a_stream_stops_the_work(self, subject: Subject) -> None:
        asking = asyncio.create_task(streamed(subject.provider, subject.asks_long))
        assert await becomes(subject.running, 1, subject.patience_s)

        asking.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await becomes(subject.running, 0, subject.patience_s)

    async def test_a_refused_call_is_one_of_our_errors_and_survives_a_process_border(self, subject: Subject) -> None:
        with pytest.raises(LLMError) as whole:
            await subject.provider.complete(subject.asks_in_vain)
        with pytest.raises(LLMError) as stream:
            await streamed(subject.provider, subject.asks_in_vain)

        assert type(stream.value) is type(whole.value)
        again = pickle.loads(pickle.dumps(whole.value))
        assert (type(again), again.args) == (type(whole.value), whole.value.args)
        assert await becomes(subject.running, 0, subject.patience_s)

    async def test_answers_survive_a_process_border(self, subject: Subject) -> None:
        completion = await subject.provider.complete(subject.asks)
        chunks = await streamed(subject.provider, subject.asks)

        assert pickle.loads(pickle.dumps((completion, chunks))) == (completion, chunks)

    async def test_a_probe_asks_for_no_completion(self, subject: Subject) -> None:
        before = subject.completions()

        await subject.provider.probe()

        assert subject.completions() == before

    async def test_a_closed_provider_refuses_and_can_be_closed_again(self, subject: Subject) -> None:
        await subject.provider.aclose()
        await subject.provider.aclose()

        with pytest.raises(LLMError):
            await subject.provider.complete(subject.asks)
        with pytest.raises(LLMError):
            await streamed(subject.provider, subject.asks)
        with pytest.raises(LLMError):
            await subject.provider.probe()
