import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import orjson
import pytest

from actors.protocol.errors import (
    BackendError,
    BackendUnavailable,
    CatalogueError,
    ConfigError,
    MalformedAnswer,
    RequestRefused,
)
from actors.protocol.messages import Call, JsonObject, Usage
from actors.providers.llama_cpp import LlamaCpp, Settings

CALL = Call("r1", {"messages": [{"role": "user", "content": "hi"}]}, 60.0)
WORDS = ("one ", "two ", "three")


def word(text: str) -> bytes:
    return orjson.dumps({"id": "c1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})


STOP = orjson.dumps({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
USAGE = orjson.dumps({"id": "c1", "choices": [], "usage": Usage(5, 3).as_json()})


class FakeRuntime:
    """Says `WORDS`; waits before each word for `go` where `held`; raises `failure` where it is set."""

    def __init__(self) -> None:
        self.requests: list[JsonObject] = []
        self.began = threading.Event()
        self.held = False
        self.go = threading.Semaphore(0)
        self.stopped_early = threading.Event()
        self.failure: BaseException | None = None
        self.ends_with: tuple[bytes, ...] = (STOP, USAGE)
        self.metrics_wait = threading.Event()
        self.metrics_wait.set()

    def handle_chat_completions(self, request: bytes, on_event: Callable[[bytes], bool]) -> None:
        self.requests.append(orjson.loads(request))
        self.began.set()
        if self.failure is not None:
            raise self.failure
        for event in (*map(word, WORDS), *self.ends_with):
            if self.held:
                assert self.go.acquire(timeout=10)
            if on_event(event):
                self.stopped_early.set()
                return

    def handle_metrics(self) -> str:
        self.metrics_wait.wait(10)
        return "llamacpp:requests_processing 0"


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "tiny-model.gguf"
    path.write_bytes(b"GGUF and so on")
    return path


@pytest.fixture
async def provider(runtime: FakeRuntime, weights: Path) -> AsyncIterator[LlamaCpp]:
    made = LlamaCpp("local", str(weights), parallel=1, load=lambda settings: runtime)
    await made.start()
    yield made
    await made.aclose()


async def test_the_whole_answer_has_text_usage_and_the_models_name(provider: LlamaCpp) -> None:
    completion = await provider.complete(CALL)

    assert completion.text == "one two three"
    assert completion.usage == Usage(5, 3)
    assert completion.body["model"] == "tiny-model"


async def test_a_stream_ends_with_the_usage(provider: LlamaCpp) -> None:
    chunks = [chunk async for chunk in provider.stream(CALL)]

    assert [chunk.text for chunk in chunks] == ["one ", "two ", "three", "", ""]
    assert [chunk.finish_reason for chunk in chunks] == [None, None, None, "stop", None]
    assert chunks[-1].usage == Usage(5, 3)


async def test_chunks_come_while_the_model_still_speaks(provider: LlamaCpp, runtime: FakeRuntime) -> None:
    runtime.held = True
    stream = provider.stream(CALL)
    runtime.go.release()

    first = await anext(stream)
    runtime.go.release(4)
    rest = [chunk.text async for chunk in stream]

    assert (first.text, rest) == ("one ", ["two ", "three", "", ""])


async def test_closing_a_stream_stops_the_model(provider: LlamaCpp, runtime: FakeRuntime) -> None:
    runtime.held = True
    runtime.go.release()
    async with aclosing(provider.stream(CALL)) as stream:
        await anext(stream)

    runtime.go.release()

    assert await asyncio.to_thread(runtime.stopped_early.wait, 10)


async def test_cancelling_a_call_stops_the_model(provider: LlamaCpp, runtime: FakeRuntime) -> None:
    runtime.held = True
    task = asyncio.create_task(provider.complete(CALL))
    assert await asyncio.to_thread(runtime.began.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    runtime.go.release()

    assert await asyncio.to_thread(runtime.stopped_early.wait, 10)


async def test_a_call_that_is_cancelled_in_the_queue_never_reaches_the_model(
    provider: LlamaCpp, runtime: FakeRuntime
) -> None:
    runtime.held = True
    first = asyncio.create_task(provider.complete(CALL))
    queued = asyncio.create_task(provider.complete(CALL))
    assert await asyncio.to_thread(runtime.began.wait, 10)
    queued.cancel()
    with pytest.raises(asyncio.CancelledError):
        await queued  # it has left the queue before the first call makes room
    runtime.go.release(5)

    await first

    assert len(runtime.requests) == 1


async def test_an_answer_that_breaks_off_is_no_success(provider: LlamaCpp, runtime: FakeRuntime) -> None:
    runtime.ends_with = ()

    with pytest.raises(MalformedAnswer, match="'local' broke off"):
        await provider.complete(CALL)


@pytest.mark.parametrize("failure", [ValueError("'messages' is required"), RuntimeError("'messages' is required")])
async def test_what_the_runtime_raises_of_a_request_is_its_refusal(
    provider: LlamaCpp, runtime: FakeRuntime, failure: Exception
) -> None:
    runtime.failure = failure

    with pytest.raises(RequestRefused, match="'local' refused the request: 'messages' is required"):
        await provider.complete(CALL)


async def test_another_failure_of_the_runtime_is_the_backends(provider: LlamaCpp, runtime: FakeRuntime) -> None:
    runtime.failure = MemoryError()

    with pytest.raises(BackendError, match="runtime of 'local' failed: MemoryError") as caught:
        await provider.complete(CALL)

    assert caught.value.retryable


async def test_a_running_runtime_passes_its_probe(provider: LlamaCpp) -> None:
    await provider.probe()


async def test_a_runtime_that_hangs_fails_its_probe(weights: Path, runtime: FakeRuntime) -> None:
    provider = LlamaCpp("local", str(weights), load=lambda settings: runtime, probe_timeout_s=0.01)
    await provider.start()
    runtime.metrics_wait.clear()

    with pytest.raises(BackendUnavailable, match="'local' does not answer"):
        await provider.probe()

    runtime.metrics_wait.set()
    await provider.aclose()


async def test_closing_stops_what_is_being_said_and_tells_its_caller(provider: LlamaCpp, runtime: FakeRuntime) -> None:
    runtime.held = True
    task = asyncio.create_task(provider.complete(CALL))
    assert await asyncio.to_thread(runtime.began.wait, 10)
    runtime.go.release(5)

    closing = asyncio.create_task(provider.aclose())

    with pytest.raises(BackendUnavailable, match="'local' is not loaded"):
        await task
    await closing
    await provider.aclose()


async def test_nothing_works_before_the_start_or_after_the_end(weights: Path, runtime: FakeRuntime) -> None:
    provider = LlamaCpp("local", str(weights), load=lambda settings: runtime)

    for attempt in (provider.complete(CALL), anext(provider.stream(CALL)), provider.probe()):
        with pytest.raises(BackendUnavailable, match="'local' is not loaded"):
            await attempt


async def test_the_numbers_of_the_config_reach_the_runtime(weights: Path, runtime: FakeRuntime) -> None:
    loaded: list[Settings] = []

    def load(settings: Settings) -> FakeRuntime:
        loaded.append(settings)
        return runtime

    provider = LlamaCpp("local", str(weights), context_size=512, parallel=3, threads=2, load=load)
    await provider.start()
    await provider.aclose()

    assert loaded == [Settings(weights, 512, 3, 2)]


@pytest.mark.parametrize("number", ["context_size", "parallel", "threads"])
def test_numbers_below_one_are_refused(number: str) -> None:
    with pytest.raises(ConfigError, match=f"{number} of backend 'local' must be at least 1, not 0"):
        LlamaCpp("local", "tiny.gguf", **{number: 0})  # type: ignore[arg-type]


async def test_a_missing_catalogue_model_is_reported_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROUPE_MODELS_DIR", str(tmp_path))

    with pytest.raises(CatalogueError, match="troupe models pull smollm2-135m"):
        await LlamaCpp("local", "catalogue:smollm2-135m").start()


async def test_a_file_that_is_no_gguf_is_reported(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"<html>")

    with pytest.raises(CatalogueError, match="of backend 'local' is no GGUF file"):
        await LlamaCpp("local", str(tmp_path / "x.gguf")).start()


async def test_a_file_that_the_runtime_cannot_load_is_reported(weights: Path) -> None:
    def load(settings: Settings) -> FakeRuntime:
        raise RuntimeError("Failed to init server")

    with pytest.raises(CatalogueError, match=r"could not load .* 2 x 4096 tokens of context"):
        await LlamaCpp("local", str(weights), load=load).start()


@pytest.mark.parametrize(("system", "sent"), [(None, True), ("", False), ("be kind", True)])
async def test_the_system_message_is_the_configs_or_the_catalogues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: FakeRuntime, system: str | None, sent: bool
) -> None:
    monkeypatch.setenv("TROUPE_MODELS_DIR", str(tmp_path))
    with (tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf").open("wb") as file:
        file.write(b"GGUF")
        file.truncate(98_362_432)
    provider = LlamaCpp("local", "catalogue:smollm2-135m", system=system, load=lambda settings: runtime)
    await provider.start()

    completion = await provider.complete(CALL)
    await provider.aclose()

    first = runtime.requests[0]["messages"][0]
    assert (first["role"] == "system") is sent
    assert system is None or not sent or first["content"] == "be kind"
    assert completion.body["model"] == "smollm2-135m"
