"""In which situations are contestants compared, and what is measured in each?"""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from actors.benching.contestants import Contestant
from actors.benching.load import Load, drive
from actors.benching.running import Running
from actors.benching.streaming_load import stream
from actors.benching.target import Target, request_body
from actors.benching.upstream import CHUNKS
from actors.protocol.clock import SYSTEM_CLOCK, Deadline

STREAMS = 50
WARM_UP_CHUNKS = 10
WARM_UP_S = 10.0
SETTLED_AFTER_S = 5.0  # since the start: what a contestant does once is done by then


@dataclass(frozen=True, slots=True)
class Effort:
    """How long one measurement takes: seconds of load, chunks of a stream, seconds of doing nothing.

    `warm_up`: so many answers, within some seconds, come before a load that counts.
    """

    seconds: int = 5
    warm_up: int = 500
    chunks: int = CHUNKS
    idle_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures, named as in `FIGURES`, and how many requests or streams did not get a whole answer."""

    figures: Mapping[str, float]
    errors: int = 0


class Case(Protocol):
    """A situation. Every measurement gets a contestant that was started for it."""

    @property
    def about(self) -> str: ...

    def suits(self, contestant: Contestant) -> bool: ...

    def measure(self, running: Running, effort: Effort) -> Measured:
        """Raises `LLMError` when there is not a single answer."""
        ...


@dataclass(frozen=True, slots=True)
class Requests:
    """The same request over so many connections, each as fast as answers come."""

    connections: int
    body_bytes: int = 1024

    @property
    def about(self) -> str:
        return f"{self.connections} connection{'s' * (self.connections > 1)}, bodies of {self.body_bytes // 1024} KB"

    def suits(self, contestant: Contestant) -> bool:
        return True

    def measure(self, running: Running, effort: Effort) -> Measured:
        load, cpu_us = self.loaded(running, running.target, effort)
        figures = {
            "per_s": load.per_s,
            "p50_ms": load.p50_ms,
            "p95_ms": load.p95_ms,
            "p99_ms": load.p99_ms,
            "cpu_us_per_request": cpu_us,
            "pss_mb": running.family.pss_mb(),
        }
        return Measured(figures, load.errors)

    def loaded(self, running: Running, target: Target, effort: Effort) -> tuple[Load, float]:
        """What wrk saw after a warm-up, and CPU microseconds per request."""
        body = request_body(target.model, self.body_bytes)
        warm_up(target, body, self.connections, effort.warm_up)
        before_s = running.family.cpu_s()
        load = drive(target, body, self.connections, effort.seconds)
        return load, (running.family.cpu_s() - before_s) / load.requests * 1e6


def warm_up(target: Target, body: bytes, connections: int, answers: int) -> None:
    """Drives a contestant until it has given so many answers, but not for longer than `WARM_UP_S`.

    Some import half of themselves with the first requests, of which not one may be answered within a second.
    """
    deadline = Deadline.after(WARM_UP_S)
    while answers > 0 and deadline.time_left_s() > 0:
        answers -= drive(target, body, connections, 1, at_least=0).requests


@dataclass(frozen=True, slots=True)
class Streams:
    """Many streams side by side, at the rate at which a model writes.

    CPU is told with and without what a contestant uses at rest, which is measured directly before.
    """

    streams: int = STREAMS

    @property
    def about(self) -> str:
        return f"{self.streams} streams side by side, 20 chunks/s each"

    def suits(self, contestant: Contestant) -> bool:
        return True

    def measure(self, running: Running, effort: Effort) -> Measured:
        stream(running.target, self.streams, min(WARM_UP_CHUNKS, effort.chunks))
        at_rest_share = share_at_rest(running, effort.idle_s)
        began_s, before_s = SYSTEM_CLOCK.monotonic_s(), running.family.cpu_s()
        seen = stream(running.target, self.streams, effort.chunks)
        used_s = running.family.cpu_s() - before_s
        at_rest_s = at_rest_share * (SYSTEM_CLOCK.monotonic_s() - began_s)
        figures = {name: value for name, value in asdict(seen).items() if name.endswith("_ms")} | {
            "cpu_us_per_chunk": used_s / seen.chunks * 1e6,
            "cpu_us_per_chunk_above_rest": (used_s - at_rest_s) / seen.chunks * 1e6,
            "pss_mb": running.family.pss_mb(),
        }
        return Measured(figures, seen.broken)


@dataclass(frozen=True, slots=True)
class Together:
    """Requests to three models at once whose answers are merged, beside requests to one, of the same gateway."""

    connections: int

    @property
    def about(self) -> str:
        return f"three members by majority vote, against one; {Requests(self.connections).about}"

    def suits(self, contestant: Contestant) -> bool:
        return contestant.merges

    def measure(self, running: Running, effort: Effort) -> Measured:
        target = running.target
        assert target.ensemble is not None
        requests = Requests(self.connections)
        single, single_cpu_us = requests.loaded(running, target, effort)
        merged, cpu_us = requests.loaded(running, replace(target, model=target.ensemble), effort)
        figures = {
            "per_s": merged.per_s,
            "p50_ms": merged.p50_ms,
            "p99_ms": merged.p99_ms,
            "cpu_us_per_request": cpu_us,
            "single_p50_ms": single.p50_ms,
            "single_cpu_us_per_request": single_cpu_us,
            "p50_times_single": merged.p50_ms / single.p50_ms,
            "cpu_times_single": cpu_us / single_cpu_us,
        }
        return Measured(figures, single.errors + merged.errors)


@dataclass(frozen=True, slots=True)
class ColdStart:
    """From the start of the first process to the first whole answer, asked for every 20 ms."""

    about: str = "from the start to the first answer"

    def suits(self, contestant: Contestant) -> bool:
        return True

    def measure(self, running: Running, effort: Effort) -> Measured:
        return Measured({"first_answer_s": running.first_answer_s})


@dataclass(frozen=True, slots=True)
class Idle:
    """What it costs to have a contestant and ask it nothing."""

    about: str = "memory and CPU without a request"

    def suits(self, contestant: Contestant) -> bool:
        return True

    def measure(self, running: Running, effort: Effort) -> Measured:
        share = share_at_rest(running, effort.idle_s)
        return Measured({"cpu_share": share, "pss_mb": running.family.pss_mb()})


def share_at_rest(running: Running, seconds: float) -> float:
    """The part of one core that a contestant uses while nothing is asked of it."""
    threading.Event().wait(max(0.0, SETTLED_AFTER_S - running.age_s))
    began_s, before_s = SYSTEM_CLOCK.monotonic_s(), running.family.cpu_s()
    threading.Event().wait(seconds)
    used_s = running.family.cpu_s() - before_s
    return used_s / (SYSTEM_CLOCK.monotonic_s() - began_s)


CASES: Mapping[str, Case] = {
    "c1": Requests(1),
    "c16": Requests(16),
    "c64": Requests(64),
    "c256": Requests(256),
    "body-16k": Requests(64, 16 * 1024),
    "body-256k": Requests(64, 256 * 1024),
    "streams": Streams(),
    "streams-200": Streams(200),
    "ensemble": Together(64),
    "ensemble-c1": Together(1),
    "cold-start": ColdStart(),
    "idle": Idle(),
}
QUICK_CASES = ("c1", "c64", "streams", "cold-start")
