"""Does the provider do with real weights what it promises? SmolLM2-135M, no Ray."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from actors.protocol.errors import BackendUnavailable, CatalogueError, ContextTooLong, RequestRefused
from actors.protocol.messages import Call
from actors.providers.catalogue import resolve
from actors.providers.catalogue_view import pull_with_progress
from actors.providers.llama_cpp import LlamaCpp

FRANCE = "What is the capital of France? One word."


@pytest.fixture(scope="module", autouse=True)
def weights() -> None:
    pull_with_progress(["smollm2-135m"])


@pytest.fixture
async def provider() -> AsyncIterator[LlamaCpp]:
    made = LlamaCpp("small", "catalogue:smollm2-135m", context_size=512, parallel=2)
    await made.start()
    yield made
    await made.aclose()


def call(text: str, **parameters: object) -> Call:
    return Call("r1", {"messages": [{"role": "user", "content": text}], "temperature": 0, **parameters}, 60.0)


async def until_idle(provider: LlamaCpp) -> None:
    """Returns once the runtime has no request in a slot."""
    assert provider._runtime is not None
    while "llamacpp:requests_processing 0" not in provider._runtime.handle_metrics():  # noqa: ASYNC110  # no event
        await asyncio.sleep(0.002)


async def test_a_whole_answer_has_exact_usage_and_a_confidence(provider: LlamaCpp) -> None:
    completion = await provider.complete(call(FRANCE, max_tokens=16))

    assert "Paris" in completion.text
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (35, 8)
    assert completion.logprob_mean is not None
    assert -1.0 < completion.logprob_mean < 0.0
    assert completion.body["model"] == "smollm2-135m"
    assert completion.body["choices"][0]["logprobs"] is None


async def test_a_stream_says_the_same_as_the_whole_answer(provider: LlamaCpp) -> None:
    chunks = [chunk async for chunk in provider.stream(call(FRANCE, max_tokens=16))]

    assert "Paris" in "".join(chunk.text for chunk in chunks)
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    assert chunks[-1].usage is not None
    assert not any(b"logprobs" in chunk.data or b"prompt_progress" in chunk.data for chunk in chunks)


async def test_logprobs_come_when_asked_for(provider: LlamaCpp) -> None:
    completion = await provider.complete(call(FRANCE, max_tokens=4, logprobs=True, top_logprobs=3))

    tokens = completion.body["choices"][0]["logprobs"]["content"]
    assert [len(token["top_logprobs"]) for token in tokens] == [3, 3, 3, 3]
    assert completion.logprob_mean == pytest.approx(sum(token["logprob"] for token in tokens) / 4)


async def test_two_requests_run_at_once(provider: LlamaCpp) -> None:
    streams = [provider.stream(call("Count.", max_tokens=30, ignore_eos=True)) for _ in range(2)]
    for stream in streams:
        await anext(stream)

    assert provider._runtime is not None
    assert "llamacpp:requests_processing 2" in provider._runtime.handle_metrics()
    for stream in streams:
        assert [chunk.finish_reason async for chunk in stream if chunk.finish_reason] == ["length"]


@pytest.mark.parametrize("text", ["Tell me a story.", "alpha beta gamma " * 150], ids=["decoding", "reading"])
async def test_a_cancelled_call_frees_its_slot_long_before_it_would_have_ended(provider: LlamaCpp, text: str) -> None:
    task = asyncio.create_task(provider.complete(call(text, max_tokens=400, ignore_eos=True)))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await asyncio.wait_for(until_idle(provider), 3)  # the rest of it takes 8 s on a quiet machine; this 0.04 to 0.4 s


async def test_a_prompt_that_does_not_fit_is_refused_with_its_size(provider: LlamaCpp) -> None:
    with pytest.raises(ContextTooLong, match="The prompt has 1026 tokens; 'small' takes 512"):
        await provider.complete(call("x " * 1000))


async def test_a_wrong_parameter_is_refused_with_the_runtimes_reason(provider: LlamaCpp) -> None:
    with pytest.raises(RequestRefused, match=r"'temperature'.* type must be number"):
        await provider.complete(call("hi", temperature="hot"))


async def test_an_answer_keeps_to_a_json_schema(provider: LlamaCpp) -> None:
    schema = {
        "type": "object",
        "properties": {"capital": {"type": "string", "maxLength": 12}},
        "required": ["capital"],
        "additionalProperties": False,
    }
    wish = {"type": "json_schema", "json_schema": {"name": "capital", "schema": schema}}

    completion = await provider.complete(call(FRANCE, max_tokens=64, response_format=wish))

    assert list(orjson.loads(completion.text)) == ["capital"]


async def test_closing_ends_a_running_answer(provider: LlamaCpp) -> None:
    await provider.probe()
    task = asyncio.create_task(provider.complete(call("Tell me a story.", max_tokens=400, ignore_eos=True)))
    await asyncio.sleep(0.3)

    await asyncio.wait_for(provider.aclose(), 5)

    with pytest.raises(BackendUnavailable):
        await task
    with pytest.raises(BackendUnavailable):
        await provider.probe()


async def test_a_truncated_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "half.gguf"
    path.write_bytes(resolve("catalogue:smollm2-135m").read_bytes()[:1_000_000])

    with pytest.raises(CatalogueError, match="could not load"):
        await LlamaCpp("small", str(path)).start()


def test_nothing_is_printed_and_no_port_is_opened() -> None:
    script = """
import asyncio, psutil
from actors.protocol.messages import Call
from actors.providers.llama_cpp import LlamaCpp

async def main():
    provider = LlamaCpp("small", "catalogue:smollm2-135m", context_size=512)
    await provider.start()
    await provider.complete(Call("r", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}, 60.0))
    assert not psutil.Process().net_connections("inet")
    await provider.aclose()

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
