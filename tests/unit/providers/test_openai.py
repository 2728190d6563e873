"""Is an OpenAI-compatible upstream asked as it should be, and its answer passed on as it came?"""

from contextlib import aclosing

import orjson
import pytest

from actors.protocol.errors import BackendUnavailable, ConfigError, KeyRefused, RequestRefused
from actors.protocol.messages import Call, Chunk, Usage
from actors.providers.openai import OpenAI
from tests.unit.providers.upstream_server import (
    DONE,
    answer,
    asking,
    completion,
    event,
    events,
    raw,
    silence,
    usage,
    whole,
)

KEY = "sk-very-secret"
CALL = Call("r1", {"messages": [{"role": "user", "content": "hello"}], "temperature": 0.5, "odd": {"x": 1}}, 5.0)


async def streamed(provider: OpenAI) -> list[Chunk]:
    async with aclosing(provider.stream(CALL)) as chunks:  # type: ignore[type-var]  # a generator
        return [chunk async for chunk in chunks]


async def test_the_caller_s_parameters_go_out_with_our_model_and_key() -> None:
    async with asking(whole(completion("hi"))) as (provider, server):
        await provider.complete(CALL)

    seen = server.seen[0]
    assert (seen.method, seen.path) == ("POST", "/v1/chat/completions")
    assert seen.body == {**CALL.body, "model": "upstream-model"}
    assert seen.headers["Authorization"] == f"Bearer {KEY}"


async def test_a_stream_asks_for_its_usage() -> None:
    async with asking(events(answer("hi"))) as (provider, server):
        await streamed(provider)

    asked = {"model": "upstream-model", "stream": True, "stream_options": {"include_usage": True}}
    assert server.seen[0].body == CALL.body | asked


async def test_an_upstream_that_knows_no_stream_options_is_asked_without_them_from_then_on() -> None:
    refusal = whole({"error": {"message": "unknown field: stream_options"}}, status=400)
    async with asking(refusal, events(answer("one two"))) as (provider, server):
        for _ in range(2):
            assert "".join(chunk.text for chunk in await streamed(provider)) == "one two"

    assert ["stream_options" in seen.body for seen in server.seen] == [True, False, False]


async def test_another_refusal_is_not_asked_again() -> None:
    refusal = whole({"error": {"message": "stream_options is wrong, and so is the rest"}}, status=400)
    async with asking(refusal) as (provider, server):
        with pytest.raises(RequestRefused):
            await streamed(provider)

    assert len(server.seen) == 2


async def test_the_body_of_an_answer_is_kept_as_it_came() -> None:
    body = completion("hi", "length") | {"system_fingerprint": "fp", "unknown": [1, None]}
    async with asking(whole(body)) as (provider, _):
        answered = await provider.complete(CALL)

    assert answered.body == body
    assert (answered.text, answered.finish_reason, answered.usage) == ("hi", "length", Usage(3, 1))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("", ""),
        ([{"type": "text", "text": "one "}, {"type": "image"}, {"type": "text", "text": "two"}], "one two"),
    ],
)
async def test_content_may_be_missing_or_in_parts(content: object, text: str) -> None:
    body = completion("")
    body["choices"][0]["message"]["content"] = content
    async with asking(whole(body)) as (provider, _):
        assert (await provider.complete(CALL)).text == text


@pytest.mark.parametrize("given", [None, {}, {"prompt_tokens": 3}, {"prompt_tokens": "3", "completion_tokens": 1}, 7])
async def test_usage_that_is_not_there_is_not_made_up(given: object) -> None:
    async with asking(whole(completion("hi") | {"usage": given})) as (provider, _):
        assert (await provider.complete(CALL)).usage is None


@pytest.mark.parametrize(
    ("logprobs", "mean"),
    [
        (None, None),
        ({}, None),
        ({"content": None}, None),
        ({"content": []}, None),
        ({"content": [{"token": "a", "logprob": -0.25}, {"token": "b", "logprob": -0.75}]}, -0.5),
        ({"content": [{"logprob": -9999.0}, {"logprob": 0.0}]}, -50.0),
        ({"content": [{"logprob": "x"}, "y"]}, None),
    ],
)
async def test_log_probabilities_become_their_mean(logprobs: object, mean: float | None) -> None:
    async with asking(whole(completion("hi", logprobs=logprobs))) as (provider, _):
        assert (await provider.complete(CALL)).logprob_mean == mean


async def test_events_are_kept_byte_by_byte() -> None:
    odd = b'{"choices": [ {"index":0, "delta":{"content":"\xc3\xa9"}} ],  "unknown":1}'
    async with asking(events([b"data: " + odd + b"\n\n", event(finish_reason="stop"), DONE])) as (provider, _):
        chunks = await streamed(provider)

    assert chunks[0] == Chunk(odd, "é")
    assert [chunk.finish_reason for chunk in chunks] == [None, "stop"]


async def test_events_that_the_network_cut_anywhere_are_whole_again() -> None:
    sent = b"".join(part for part in answer("zero one two") if isinstance(part, bytes))
    pieces = [sent[place : place + 37] for place in range(0, len(sent), 37)]
    async with asking(events([part for piece in pieces for part in (piece, 0.001)])) as (provider, _):
        chunks = await streamed(provider)

    assert "".join(chunk.text for chunk in chunks) == "zero one two"
    assert chunks[-1].usage == Usage(3, 3)


async def test_tool_calls_and_comments_pass() -> None:
    call = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}
    parts = [b": processing\n\n", event({"role": "assistant", "content": None}), event(call)]
    async with asking(events([*parts, event(finish_reason="tool_calls"), DONE])) as (provider, _):
        chunks = await streamed(provider)

    assert orjson.loads(chunks[1].data)["choices"][0]["delta"] == call
    assert [chunk.text for chunk in chunks] == ["", "", ""]


async def test_only_the_first_choice_is_the_text() -> None:
    choices = [
        {"index": 1, "delta": {"content": "b"}, "finish_reason": "stop"},
        {"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"},
    ]
    async with asking(events([event(choices=choices), DONE])) as (provider, _):
        (chunk,) = await streamed(provider)

    assert (chunk.text, chunk.finish_reason) == ("a", "stop")


async def test_a_clean_end_after_the_finish_reason_needs_no_done() -> None:
    parts = [event({"content": "hi"}), event(finish_reason="stop"), event(usage=usage(1))]
    async with asking(events(parts)) as (provider, _):
        assert [chunk.text for chunk in await streamed(provider)] == ["hi", "", ""]


async def test_an_upstream_that_keeps_the_connection_open_after_done_does_not_hold_up_the_answer() -> None:
    async with asking(events(answer("hi"), "silence")) as (provider, _):
        assert (await streamed(provider))[-1].usage == Usage(3, 1)


async def test_streams_and_whole_answers_share_one_connection() -> None:
    plan = [events([*answer("hi"), 0.005]), whole(completion("hi")), events(answer("hi"))]
    async with asking(*plan) as (provider, server):
        await streamed(provider)
        await provider.complete(CALL)
        await streamed(provider)
        await provider.probe()

        assert len(server.connections) == 1


async def test_a_probe_lists_models() -> None:
    async with asking(silence) as (provider, server):
        await provider.probe()

    assert [(seen.method, seen.path) for seen in server.seen] == [("GET", "/v1/models")]


@pytest.mark.parametrize("status", [200, 302, 400, 404, 405, 429])
async def test_an_upstream_that_answers_a_probe_at_all_is_alive(status: int) -> None:
    async with asking(silence) as (provider, server):
        server.models_status = status
        await provider.probe()


@pytest.mark.parametrize(
    ("status", "error"), [(401, KeyRefused), (403, KeyRefused), (500, Exception), (503, BackendUnavailable)]
)
async def test_an_upstream_that_fails_or_refuses_our_key_fails_its_probe(status: int, error: type[Exception]) -> None:
    async with asking(silence) as (provider, server):
        server.models_status = status
        with pytest.raises(error):
            await provider.probe()


async def test_an_upstream_that_is_not_there_fails_its_probe_but_not_the_start() -> None:
    provider = OpenAI("far", "http://127.0.0.1:9/v1", None, "m")

    await provider.start()

    with pytest.raises(BackendUnavailable):
        await provider.probe()
    await provider.aclose()


async def test_without_a_key_no_credential_is_sent() -> None:
    async with asking(whole(completion("hi"))) as (_, server):
        provider = OpenAI("far", server.base_url, None, "m")
        await provider.complete(CALL)
        await provider.aclose()

    assert "Authorization" not in server.seen[0].headers


async def test_a_query_in_the_base_url_stays_behind_the_path() -> None:
    async with asking(whole(completion("hi"))) as (_, server):
        provider = OpenAI("far", server.base_url + "?api-version=1", None, "m")
        await provider.complete(CALL)
        await provider.aclose()

    assert server.seen[0].path == "/v1/chat/completions"


async def test_what_json_cannot_carry_is_refused() -> None:
    async with asking(raw(b"")) as (provider, server):
        with pytest.raises(RequestRefused, match="cannot be written as JSON"):
            await provider.complete(CALL.asking(thing=object()))

    assert not server.seen


@pytest.mark.parametrize(
    "url", ["", "far.example/v1", "ftp://far.example", "http://", "http://u:p@h/v1", "http://h:x/"]
)
def test_an_address_that_cannot_be_used_is_a_mistake_of_the_configuration(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url of backend 'far'"):
        OpenAI("far", url, None, "m")


@pytest.mark.parametrize("key", ["sk\nsecret", "sk secret", "sk-sécret", "sk\rsecret"])
def test_a_key_that_no_header_can_carry_is_a_mistake_that_is_not_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="api_key of backend 'far'") as error:
        OpenAI("far", "http://far.example", key, "m")

    assert key not in str(error.value)


def test_a_provider_does_not_show_its_key() -> None:
    provider = OpenAI("far", "http://far.example/v1", KEY, "m")

    assert KEY not in repr(provider)
