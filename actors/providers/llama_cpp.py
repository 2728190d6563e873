"""How does a model whose weights lie in this very process answer a call?"""

import asyncio
import secrets
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from actors.protocol.errors import BackendError, BackendUnavailable, CatalogueError, ConfigError, RequestRefused
from actors.protocol.messages import Call, Chunk, Completion, JsonObject
from actors.providers.catalogue import catalogued, resolve
from actors.providers.llama_cpp_wire import Ask, Reader, ask_of, chunk_of, completion_of, reason_of

# Tokens of a prompt that are read between two chances to cancel, or to serve another request. Reading 931 tokens with
# SmolLM2 on one thread: 158 tokens/s in batches of 2048, 155 of 64, 122 of 32.
BATCH_TOKENS = 64
GGUF_MAGIC = b"GGUF"
READ_BYTES = 8 << 20


class Runtime(Protocol):
    """What we use of `xllamacpp.Server`; both methods block, and let other threads run meanwhile."""

    def handle_chat_completions(self, request: bytes, on_event: Callable[[bytes], bool]) -> None:
        """Calls `on_event` with each event until that returns true or the answer ends."""
        ...

    def handle_metrics(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """How a runtime is loaded. `context_size`: tokens of one request, prompt and answer together."""

    model_path: Path
    context_size: int
    parallel: int
    threads: int


class LlamaCpp:
    """A provider for GGUF weights, loaded into this process; up to `parallel` requests at once, others queue.

    `model_path`: a path, or `catalogue:NAME`. `system` is sent where the caller sends no system message; `None` means
    the catalogue's own for the model, "" means none. Raises `ConfigError` for numbers below 1.
    """

    def __init__(
        self,
        name: str,
        model_path: str,
        context_size: int = 4096,
        parallel: int = 2,
        threads: int = 1,
        system: str | None = None,
        load: Callable[[Settings], Runtime] | None = None,
        probe_timeout_s: float = 1.5,
    ) -> None:
        for key, value in (("context_size", context_size), ("parallel", parallel), ("threads", threads)):
            if value < 1:
                raise ConfigError(f"The {key} of backend '{name}' must be at least 1, not {value}.")
        entry = catalogued(model_path)
        self._name = name
        self._model_path = model_path
        self._model = entry.name if entry else Path(model_path).stem
        self._sizes = (context_size, parallel, threads)
        self._system = entry.system if entry and system is None else system
        self._load = load or load_xllamacpp
        self._probe_timeout_s = probe_timeout_s
        self._runtime: Runtime | None = None
        self._workers: ThreadPoolExecutor | None = None
        self._prober: ThreadPoolExecutor | None = None
        self._running: set[_Generation] = set()

    async def start(self) -> None:
        """Loads the weights. Raises `CatalogueError` for a missing or damaged file, `ConfigError` without a runtime."""
        if self._runtime is not None:
            return
        self._runtime = await asyncio.to_thread(self._loaded)
        self._workers = ThreadPoolExecutor(self._sizes[1], thread_name_prefix=f"llama-{self._name}")
        self._prober = ThreadPoolExecutor(1, thread_name_prefix=f"probe-{self._name}")

    def _loaded(self) -> Runtime:
        path = resolve(self._model_path)
        with path.open("rb") as file:
            if file.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
                raise CatalogueError(f"The model file '{path}' of backend '{self._name}' is no GGUF file.", self._name)
            # The runtime keeps the interpreter's lock while it loads. With the file in the page cache that is short
            # (1.1 GB: 0.8 instead of 3.5 s), so that probes of this process are answered.
            buffer = bytearray(READ_BYTES)
            while file.readinto(buffer):
                pass
        try:
            return self._load(Settings(path, *self._sizes))
        except RuntimeError as error:
            raise CatalogueError(
                f"Backend '{self._name}' could not load '{path}': the file is damaged or of a kind that the runtime "
                f"does not know, or memory is too short for {self._sizes[1]} x {self._sizes[0]} tokens of context.",
                self._name,
            ) from error

    async def complete(self, call: Call) -> Completion:
        """The whole answer, with its mean log probability (`None` beside tools: the runtime gives none there)."""
        ask = ask_of(call.body, self._system)
        reader = Reader(ask, self._model, self._name)
        async with aclosing(self._events(ask, reader)) as events:
            whole = [event async for event in events]
        return completion_of(whole, reader.logprob_mean)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        """The answer's events as they come; the last one holds the usage and no choices."""
        ask = ask_of(call.body, self._system)
        async with aclosing(self._events(ask, Reader(ask, self._model, self._name))) as events:
            async for event in events:
                yield chunk_of(event)

    async def probe(self) -> None:
        """Returns if the runtime answers at once, whatever it is generating. Raises `BackendUnavailable` if not."""
        if self._runtime is None or self._prober is None:
            raise self._stopped()
        answer = asyncio.get_running_loop().run_in_executor(self._prober, self._runtime.handle_metrics)
        try:
            await asyncio.wait_for(answer, self._probe_timeout_s)
        except TimeoutError:
            raise BackendUnavailable(f"The model runtime of '{self._name}' does not answer.", self._name) from None

    async def aclose(self) -> None:
        """Stops what is being generated, waits for that, and frees the weights."""
        self._runtime = None
        pools = [pool for pool in (self._workers, self._prober) if pool is not None]
        self._workers = self._prober = None
        for generation in self._running:
            generation.cancel()
        for pool in pools:
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)

    async def _events(self, ask: Ask, reader: Reader) -> AsyncGenerator[JsonObject, None]:
        if self._runtime is None or self._workers is None:
            raise self._stopped()
        generation = _Generation(asyncio.get_running_loop())
        self._running.add(generation)
        work = self._workers.submit(generation.run, self._runtime, ask.payload(self._name))
        work.add_done_callback(generation.finish)
        try:
            async with aclosing(generation.events()) as raws:
                async for raw in raws:
                    event = reader.event(raw)
                    if event is not None:
                        yield event
            if generation.cancelled:
                raise self._stopped()
            if generation.error is not None:
                raise self._refusal(generation.error)
            reader.end()
        finally:
            self._running.discard(generation)
            generation.cancel()
            work.cancel()

    def _stopped(self) -> BackendUnavailable:
        return BackendUnavailable(f"The model of '{self._name}' is not loaded.", self._name)

    def _refusal(self, error: BaseException) -> BackendError:
        # The runtime raises only while it reads a request (ValueError) or applies the model's template to it.
        if isinstance(error, ValueError | RuntimeError):
            return RequestRefused(f"'{self._name}' refused the request: {reason_of(str(error))}", self._name)
        return BackendError(f"The model runtime of '{self._name}' failed: {type(error).__name__}.", self._name)


class _Generation:
    """One answer on its way from a worker thread to the event loop.

    The loop is woken once for whatever has piled up since it looked last, not once per token.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._events: deque[bytes] = deque()
        self._woken = asyncio.Event()
        self._waking = False
        self._done = False
        self.cancelled = False
        self.error: BaseException | None = None

    def cancel(self) -> None:
        """Ends the generation at its next token, or at the next batch of its prompt."""
        self.cancelled = True

    def run(self, runtime: Runtime, request: bytes) -> None:
        """Generates; in a worker thread."""
        if not self.cancelled:
            runtime.handle_chat_completions(request, self._add)

    def finish(self, work: Future[None]) -> None:
        """Ends `events`; in whatever thread completed or cancelled the work."""
        self.error = None if work.cancelled() else work.exception()
        if self.error is not None:
            self.error.__traceback__ = None  # its frames hold the runtime, and with it the weights
        self.cancelled = self.cancelled or work.cancelled()
        self._done = True
        self._wake()

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The raw events in order, until the work is done."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            self._waking = False  # before looking: what is added from now on wakes us again
            done = self._done
            while self._events:
                yield self._events.popleft()
            if done:
                return

    def _add(self, event: bytes) -> bool:
        self._events.append(event)
        self._wake()
        return self.cancelled

    def _wake(self) -> None:
        if not self._waking:
            self._waking = True
            try:
                self._loop.call_soon_threadsafe(self._woken.set)
            except RuntimeError:  # the loop is closed: nobody waits any more
                self.cancelled = True


def load_xllamacpp(settings: Settings) -> Runtime:
    """The runtime with the weights loaded. Raises `ConfigError` where it is not installed, `RuntimeError` if it fails.

    The runtime insists on a socket for its own HTTP server. On Linux that is an abstract one, no port and no file; it
    asks for a secret that nobody knows.
    """
    try:
        import xllamacpp  # optional: 34 MB that only local models need
    except ImportError as error:
        raise ConfigError("The provider llama_cpp needs its runtime: pip install 'raytroupe[local]'") from error
    params = xllamacpp.CommonParams()
    params.model.path = str(settings.model_path)
    params.n_parallel = settings.parallel
    params.n_ctx = settings.context_size * settings.parallel
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    params.cache_ram_mib = 0  # its default is a prompt cache of 8 GiB
    params.no_extra_bufts = True  # repacked weights: 2.0 instead of 1.2 GB for 1.5B parameters, no faster
    params.fit_params = params.warmup = False  # half of the loading time, for what the settings above decide
    params.verbosity = -1  # standard output belongs to the command
    params.endpoint_metrics = True  # for probes
    params.hostnames = [f"@troupe-{secrets.token_hex(8)}.sock" if sys.platform == "linux" else "127.0.0.1"]
    params.api_keys = [secrets.token_urlsafe(32)]
    params.n_threads_http = 1
    runtime: Runtime = xllamacpp.Server(params)
    return runtime
