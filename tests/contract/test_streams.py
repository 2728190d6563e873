"""What does the official client get when it asks for a stream?"""

import httpx
import pytest
from openai import APIError, OpenAI, RateLimitError

from tests.support.openai_client import ask, streamed, text_of, told
from tests.support.running_gateway import RunningGateway

MODELS = ["right", "echo", "far", "first", "company"]


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_says_what_a_whole_answer_says(client: OpenAI, model: str) -> None:
    chunks = streamed(client, model)

    assert text_of(chunks) == text_of(ask(client, model))
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert chunks[0].choices[0].delta.role == "assistant"


@pytest.mark.parametrize("model", MODELS)
def test_usage_comes_last_and_only_when_it_is_asked_for(client: OpenAI, model: str) -> None:
    without = streamed(client, model)
    with_usage = streamed(client, model, stream_options={"include_usage": True})

    assert [chunk.usage for chunk in without if chunk.usage] == []
    assert [bool(chunk.usage) for chunk in with_usage] == [False] * (len(with_usage) - 1) + [True]
    assert with_usage[-1].usage == ask(client, model).usage


@pytest.mark.parametrize("options", [None, {"include_usage": True}])
@pytest.mark.parametrize("model", MODELS)
def test_the_troupe_object_is_on_the_last_chunk_alone(
    client: OpenAI, model: str, options: dict[str, bool] | None
) -> None:
    chunks = streamed(client, model, stream_options=options)

    assert ["troupe" in (chunk.model_extra or {}) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert told(chunks[-1])["backend"] == told(ask(client, model))["backend"]


def test_the_headers_of_a_stream_tell_what_is_known_at_its_first_byte(gateway: RunningGateway) -> None:
    reply = gateway.post("first", stream=True)

    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["x-troupe-backend"] == "right"
    assert reply.headers["x-troupe-attempts"] == "2"
    assert reply.text.endswith("data: [DONE]\n\n")


def test_words_arrive_while_the_model_still_writes(gateway: RunningGateway) -> None:
    body = {"model": "far", "messages": [{"role": "user", "content": "hang"}], "stream": True}

    with httpx.stream(
        "POST", f"{gateway.url}/v1/chat/completions", json=body, headers=gateway.headers, timeout=20, trust_env=False
    ) as reply:
        first = next(line for line in reply.iter_lines() if '"content"' in line)

    assert '"Words"' in first  # the rest of it never comes


def test_a_stream_that_breaks_off_raises_instead_of_ending(client: OpenAI) -> None:
    words: list[str] = []

    with (
        pytest.raises(APIError) as broken,
        client.chat.completions.create(
            model="breaking", messages=[{"role": "user", "content": "Go on."}], stream=True
        ) as chunks,
    ):
        words.extend(chunk.choices[0].delta.content or "" for chunk in chunks)

    assert broken.value.code == "malformed_answer"
    assert "'breaking' broke off its answer" in broken.value.message


def test_a_stream_that_breaks_off_never_says_that_it_is_done(gateway: RunningGateway) -> None:
    reply = gateway.post("breaking", stream=True)

    assert reply.status_code == 200
    assert reply.text.count('"content":"') > 1
    assert "[DONE]" not in reply.text


def test_an_error_before_the_first_word_has_its_status(client: OpenAI) -> None:
    with pytest.raises(RateLimitError) as refused:
        streamed(client, "busy")

    assert refused.value.response.headers["retry-after"] == "7"
