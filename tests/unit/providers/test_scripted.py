"""Does the scripted model do what its script says, in honest shapes and scripted time?"""

import asyncio
from contextlib import aclosing
from typing import Any

import orjson
import pytest
import yaml

from actors.protocol.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    ConfigError,
    ContextTooLong,
    LLMError,
    MalformedAnswer,
    RateLimited,
    RequestRefused,
)
from actors.protocol.messages import Call, Chunk, Completion, Usage
from actors.providers.scripted import CRASH_STATUS, Scripted, Stats


class Time:
    """Passes scripted time at once, and remembers it."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)


def scripted(script: str = "{}", **settings: Any) -> Scripted:
    return Scripted("fake", yaml.safe_load(script), **{"sleep": Time().sleep, **settings})


def call(question: object = "hello there", time_left_s: float = 60.0, **more: object) -> Call:
    return Call("r1", {"messages": [{"role": "user", "content": question}], **more}, time_left_s)


async def told(model: Scripted, asked: Call | None = None) -> Completion:
    return await model.complete(asked or call())


async def streamed(model: Scripted, asked: Call | None = None) -> list[Chunk | LLMError]:
    """All chunks, and the error that ended them."""
    found: list[Chunk | LLMError] = []
    try:
        async with aclosing(model.stream(asked or call())) as chunks:  # type: ignore[type-var]  # a generator
            async for chunk in chunks:
                found.append(chunk)  # noqa: PERF401  # what came before the error counts
    except LLMError as error:
        found.append(error)
    return found


async def texts(model: Scripted, number: int, question: str = "hello there") -> list[str]:
    return [(await told(model, call(question))).text for _ in range(number)]


async def test_without_a_script_the_last_user_message_is_echoed() -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": [{"type": "text", "text": "the last"}]},
    ]

    answered = await told(scripted(), call().asking(messages=messages))

    assert answered.text == "the last"
    assert answered.usage == Usage(prompt_tokens=6, completion_tokens=2)


async def test_replies_come_in_turn() -> None:
    assert await texts(scripted("replies: [one, two, 3]"), 4) == ["one", "two", "3", "one"]


async def test_one_reply_comes_always() -> None:
    assert await texts(scripted("reply: one"), 2) == ["one", "one"]


@pytest.mark.parametrize("match", ["capital of France", "capital of F.*e", r"^What .*\?$", "France?"])
async def test_a_reply_with_a_match_comes_whenever_it_fits_and_takes_no_turn(match: str) -> None:
    model = scripted(f"replies: [one, {{match: '{match}', text: Paris}}, two]")

    assert await texts(model, 1) == ["one"]
    assert await texts(model, 1, "What is the capital of France?") == ["Paris"]
    assert await texts(model, 1) == ["two"]


async def test_a_match_that_is_no_expression_is_plain_text() -> None:
    assert await texts(scripted("replies: [{match: '2*(3', text: six}]"), 1, "What is 2*(3?") == ["six"]


async def test_a_stream_has_the_role_then_words_then_the_reason_then_the_usage() -> None:
    chunks = await streamed(scripted("reply: 'one two  three '"))

    events = [orjson.loads(chunk.data) for chunk in chunks if isinstance(chunk, Chunk)]
    choices = [event["choices"][0] if event["choices"] else None for event in events]
    assert [choice and choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": ""},
        {"content": "one"},
        {"content": " two"},
        {"content": "  three "},
        {},
        None,
    ]
    assert [choice and choice["finish_reason"] for choice in choices] == [None, None, None, None, "stop", None]
    assert events[-1]["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}


@pytest.mark.parametrize("text", ["", " ", "one", " one", "one ", "a\nb\n"])
async def test_the_words_of_a_stream_are_the_text(text: str) -> None:
    model = Scripted("fake", {"reply": {"text": text}})

    assert "".join(chunk.text for chunk in await streamed(model) if isinstance(chunk, Chunk)) == text


async def test_a_reply_s_own_reason_usage_and_log_probability_are_told() -> None:
    model = scripted(
        "reply: {text: a b, finish_reason: length, logprob_mean: -0.5, usage: {prompt_tokens: 9, completion_tokens: 8}}"
    )

    answered = await told(model, call(logprobs=True))

    assert (answered.finish_reason, answered.logprob_mean, answered.usage) == ("length", -0.5, Usage(9, 8))
    assert [token["logprob"] for token in answered.body["choices"][0]["logprobs"]["content"]] == [-0.5, -0.5]


async def test_log_probabilities_are_shown_only_to_those_who_ask() -> None:
    assert (await told(scripted("reply: {text: a, logprob_mean: -1}"))).body["choices"][0]["logprobs"] is None


async def test_tool_calls_have_openai_s_shape() -> None:
    model = scripted("reply: {tool_calls: [{name: look_up, arguments: {city: Paris}}]}")
    expected = {"id": "call_0", "type": "function", "function": {"name": "look_up", "arguments": '{"city":"Paris"}'}}

    answered = await told(model)
    chunks = await streamed(model)

    message = answered.body["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "tool_calls": [expected]}
    assert answered.finish_reason == "tool_calls"
    deltas = [event["choices"][0]["delta"] for c in chunks if (event := orjson.loads(c.data))["choices"]]  # type: ignore[union-attr]
    assert {"tool_calls": [{"index": 0, **expected}]} in deltas


async def test_openai_s_own_shape_of_tool_calls_is_taken_as_well() -> None:
    model = scripted("reply: {tool_calls: [{id: c, type: function, function: {name: f, arguments: '{}'}}]}")

    (tool_call,) = (await told(model)).body["choices"][0]["message"]["tool_calls"]

    assert tool_call == {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


async def test_time_passes_as_scripted_streaming_or_not() -> None:
    script = "{reply: a b c d e, delay_s: 0.5, tokens_per_s: 10, chunk_tokens: 2}"
    whole, stream = Time(), Time()

    await told(scripted(script, sleep=whole.sleep))
    await streamed(scripted(script, sleep=stream.sleep))

    assert whole.slept_s == stream.slept_s == [0.5, 0.2, 0.1]


async def test_a_reply_s_own_rhythm_wins() -> None:
    time = Time()

    await told(scripted("{reply: {text: a b, delay_s: 3, tokens_per_s: 1}, delay_s: 9}", sleep=time.sleep))

    assert time.slept_s == [3, 1]


@pytest.mark.parametrize(
    ("on", "struck"),
    [("2", [2]), ("[1, 4]", [1, 4]), ("every 2", [2, 4]), ("always", [1, 2, 3, 4])],
)
async def test_a_fault_strikes_the_calls_it_names(on: str, struck: list[int]) -> None:
    model = scripted(f"faults: [{{on: {on}, kind: error}}]")

    answers = await asyncio.gather(*(told(model) for _ in range(4)), return_exceptions=True)

    assert [number for number, found in enumerate(answers, 1) if isinstance(found, BackendError)] == struck


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("{kind: error}", BackendError),
        ("{kind: error, status: 429, retry_after_s: 2}", RateLimited),
        ("{kind: error, status: 503}", BackendUnavailable),
        ("{kind: error, status: 400}", RequestRefused),
        ("{kind: error, status: 400, code: context_length_exceeded}", ContextTooLong),
        ("{kind: timeout}", BackendTimeout),
        ("{kind: hang}", BackendTimeout),
        ("{kind: stall}", BackendTimeout),
        ("{kind: cut}", MalformedAnswer),
        ("{kind: malformed}", MalformedAnswer),
    ],
)
async def test_each_fault_is_what_an_upstream_s_would_be(fault: str, error: type[BackendError]) -> None:
    with pytest.raises(BackendError) as whole:
        await told(scripted(f"faults: [{fault}]"))
    stream = await streamed(scripted(f"faults: [{fault}]"))

    assert type(whole.value) is type(stream[-1]) is error
    assert whole.value.retry_after_s == (2 if error is RateLimited else None)


@pytest.mark.parametrize(
    ("fault", "before"),
    [
        ("{kind: cut}", ["", "a", " b"]),
        ("{kind: cut, after_tokens: 1}", ["", "a"]),
        ("{kind: cut, after_tokens: 0}", []),
        ("{kind: cut, after_tokens: 99}", ["", "a", " b", " c", " d"]),
        ("{kind: error}", []),
        ("{kind: error, after_tokens: 3}", ["", "a", " b", " c"]),
    ],
)
async def test_a_fault_lets_its_tokens_pass_first(fault: str, before: list[str]) -> None:
    found = await streamed(scripted(f"{{reply: a b c d, faults: [{fault}]}}"))

    assert [chunk.text for chunk in found[:-1] if isinstance(chunk, Chunk)] == before


async def test_a_fault_cuts_a_chunk_of_several_tokens_where_it_strikes() -> None:
    found = await streamed(scripted("{reply: a b c d, chunk_tokens: 3, faults: [{kind: cut, after_tokens: 2}]}"))

    assert [chunk.text for chunk in found[:-1] if isinstance(chunk, Chunk)] == ["", "a b"]


async def test_a_short_stall_ends_by_itself() -> None:
    time = Time()

    found = await streamed(scripted("{reply: a b, faults: [{kind: stall, stall_s: 5}]}", sleep=time.sleep))

    assert "".join(chunk.text for chunk in found if isinstance(chunk, Chunk)) == "a b"
    assert time.slept_s == [5]


async def test_a_reply_may_bring_its_own_fault() -> None:
    model = scripted("replies: [fine, {text: bad, fault: {kind: cut}}]")

    assert (await told(model)).text == "fine"
    with pytest.raises(MalformedAnswer):
        await told(model)


@pytest.mark.parametrize(
    ("script", "limit_s"),
    [
        ("delay_s: 30", 20.0),
        ("faults: [{kind: hang}]", 20.0),
        ("faults: [{kind: hang, after_tokens: 1}]", 15.0),
        ("{reply: a b, tokens_per_s: 0.05}", 15.0),
    ],
)
async def test_streams_have_the_limits_of_any_backend(script: str, limit_s: float) -> None:
    time = Time()

    found = await streamed(scripted(script, sleep=time.sleep))

    assert isinstance(found[-1], BackendTimeout)
    assert time.slept_s == [limit_s]


async def test_a_whole_answer_is_limited_as_a_whole_and_by_the_call_s_time() -> None:
    for limits, time_left_s in [({"timeout_s": 7.0}, 60.0), ({}, 7.0)]:
        time = Time()
        with pytest.raises(BackendTimeout):
            await told(scripted("delay_s: 30", sleep=time.sleep, **limits), call(time_left_s=time_left_s))
        assert time.slept_s == [7.0]


async def test_a_crash_ends_the_process() -> None:
    ended: list[int] = []

    found = await streamed(
        scripted("{reply: a b, faults: [{kind: crash, after_tokens: 1}]}", exit_process=ended.append)
    )

    assert ended == [CRASH_STATUS]
    assert isinstance(found[-1], BackendUnavailable)


async def test_a_probe_fails_only_as_scripted() -> None:
    await scripted("faults: [{kind: crash}]").probe()

    with pytest.raises(BackendUnavailable):
        await scripted("fail_probe: true").probe()


async def test_it_counts_what_happens_to_it() -> None:
    model = scripted("replies: [{match: slow, delay_s: 9}, ok]", sleep=asyncio.sleep)
    slow = asyncio.create_task(told(model, call("slow")))
    await asyncio.sleep(0)
    await told(model)
    await model.probe()
    assert model.stats() == Stats(calls=2, cancelled=0, in_flight=1, probes=1)

    slow.cancel()
    await asyncio.wait([slow])

    assert model.stats() == Stats(calls=2, cancelled=1, in_flight=0, probes=1)


@pytest.mark.parametrize("after", [1, 2, 99])
async def test_a_stream_given_up_before_its_end_counts_as_cancelled(after: int) -> None:
    model = scripted("reply: a b")

    async with aclosing(model.stream(call())) as chunks:  # type: ignore[type-var]  # a generator
        async for _ in chunks:
            after -= 1
            if not after:
                break

    assert model.stats() == Stats(calls=1, cancelled=int(after == 0), in_flight=0)


@pytest.mark.parametrize("messages", [None, "hello", ["hello"]])
async def test_what_is_no_conversation_is_refused(messages: object) -> None:
    with pytest.raises(RequestRefused):
        await told(scripted(), call().asking(messages=messages))


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("{reples: [a]}", "reples: unknown key; did you mean 'replies'?"),
        ("{faults: [{knd: cut, kind: cut}]}", "faults[0].knd: unknown key; did you mean 'kind'?"),
        ("{replies: [a, {txet: b}]}", "replies[1].txet: unknown key; did you mean 'text'?"),
        ("{reply: {fault: {kind: cut, stal_s: 1}}}", "reply.fault.stal_s: unknown key; did you mean 'stall_s'?"),
        ("{zzz: 1}", "zzz: unknown key; known are reply, replies, delay_s"),
        ("{faults: [{kind: explode}]}", "faults[0].kind: Input should be 'error', 'timeout'"),
        ("{faults: [{kind: cut, on: sometimes}]}", "'every N' or 'always', not 'sometimes'"),
        ("{faults: [{on: 1}]}", "faults[0].kind: Field required"),
        ("{delay_s: -1}", "delay_s: Input should be greater than or equal to 0"),
        ("{tokens_per_s: 0}", "tokens_per_s: Input should be greater than 0"),
        ("{reply: {logprob_mean: 0.5}}", "reply.logprob_mean: Input should be less than or equal to 0"),
        ("{reply: a, replies: [b]}", "script: give 'reply' or 'replies', not both"),
    ],
)
def test_a_script_that_cannot_be_meant_is_explained(script: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        scripted(script)

    assert str(error.value).startswith("The script of backend 'fake' cannot be used:\n  ")
    assert told in str(error.value)


def test_all_problems_of_a_script_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        scripted("{delay: 1, faults: [{kind: cut, status: 1}], chunk_tokens: 0}")

    assert str(error.value).count("\n") == 3
