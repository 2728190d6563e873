"""Two replicas, one upstream that counts: do limits hold over both, and is what they allow used?"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import ray
from aiohttp import web

from actors.client import Troupe, connect
from tests.support.running_gateway import RunningGateway, wait_until
from tests.support.single import Start, start  # noqa: F401
from tests.support.upstream_thread import upstream_in_thread
from tests.unit.providers.upstream_server import completion, whole

CONFIG = """
server: {{replicas: 2}}
backends:
  narrow: {{provider: openai, base_url: {url}, model: narrow, max_concurrency: 8, max_retries: 0}}
  paced: {{provider: openai, base_url: {url}, model: paced, rpm: 600, max_retries: 0}}
  hosted: {{provider: scripted, max_concurrency: 4, max_retries: 0, script: {{reply: hello, delay_s: 0.1}}}}
  spare: {{provider: scripted, script: {{reply: from the spare one}}}}
models:
  either: {{strategy: failover, members: [narrow, spare]}}
"""
RPM = 600
ANSWER_S = 0.3  # long beside what a busy machine needs from one call's end to the next one's start
CALLERS = 32  # the narrow backend takes 8 and lets 32 wait, so nobody is refused, however callers are spread


@dataclass
class Counts:
    """What the upstream sees: when calls came, and how many of them ran from when on."""

    running: int = 0
    levels: list[tuple[float, int]] = field(default_factory=list)
    came_s: list[float] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.came_s.append(time.monotonic())
        self._count(+1)
        try:
            await asyncio.sleep(ANSWER_S)
        finally:
            self._count(-1)
        return await whole(completion("hello"))(request)

    def _count(self, more: int) -> None:
        self.running += more
        self.levels.append((time.monotonic(), self.running))

    def share_of_time_01(self, at_least: int, begin_s: float, end_s: float) -> float:
        """In which part of a stretch of time at least so many calls ran."""
        stretch = [(since_s, level) for since_s, level in self.levels if begin_s < since_s < end_s]
        lasting = [(until_s - since_s, level) for (since_s, level), (until_s, _) in pairwise(stretch)]
        return sum(lasted_s for lasted_s, level in lasting if level >= at_least) / (end_s - begin_s)


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def gateway(counts: Counts, start: Start, tmp_path: Path) -> Iterator[RunningGateway]:  # noqa: F811
    with upstream_in_thread(counts.answer) as server:
        path = tmp_path / "limits.yaml"
        path.write_text(CONFIG.format(url=server.base_url))
        started = start(path)
        wait_until(lambda: sum(name.startswith("ensemble:") for name in started.states()) == 2, 30)
        yield started


@pytest.fixture
def troupe(gateway: RunningGateway) -> Iterator[Troupe]:
    try:
        yield connect(gateway.url)
    finally:
        ray.shutdown()


def offer(gateway: RunningGateway, model: str, seconds: float) -> Counter[int]:
    """`CALLERS` callers ask all the time; how often each status came."""
    over = threading.Event()

    def call(_: int) -> Counter[int]:
        seen: Counter[int] = Counter()
        body = {"model": model, "messages": [{"role": "user", "content": "hello?"}]}
        with httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as client:
            while not over.is_set():
                status = client.post("/v1/chat/completions", json=body).status_code
                seen[status] += 1
                if status != 200:
                    over.wait(0.5)
        return seen

    timer = threading.Timer(seconds, over.set)
    timer.start()
    with ThreadPoolExecutor(CALLERS) as callers:
        return sum(callers.map(call, range(CALLERS)), Counter())


def test_limits_hold_over_both_replicas_and_are_used(gateway: RunningGateway, troupe: Troupe, counts: Counts) -> None:
    began_s = time.monotonic()
    assert set(offer(gateway, "narrow", 6.0)) == {200}
    assert max(level for _, level in counts.levels) <= 8
    # From when shares follow the demand. Were places left unused, 7 of 8 would run at hardly any time.
    assert counts.share_of_time_01(7, began_s + 2, began_s + 6) >= 0.7

    counts.came_s.clear()
    began_s = time.monotonic()
    offer(gateway, "paced", 6.0)
    took_s = time.monotonic() - began_s
    allowed = RPM / 60 * took_s
    burst = RPM / 60 * 2 + 2  # what may be saved up, and one call of each replica
    assert 0.9 * allowed <= len(counts.came_s) <= 1.05 * allowed + burst

    with ThreadPoolExecutor(1) as beside:
        offering = beside.submit(offer, gateway, "hosted", 3.0)
        running = []
        while not offering.done():
            running.append(ray.get(troupe.backend("hosted").pulse.remote()).gauges["in_flight"])
            time.sleep(0.02)
    assert max(running) == 4

    # ---- taken out of service, and put back ----
    ray.get(troupe.backend("narrow").revoke.remote())
    wait_until(lambda: all(gateway.post("narrow").status_code == 503 for _ in range(6)), 5)
    assert {gateway.post("either").json()["troupe"]["backend"] for _ in range(6)} == {"spare"}

    ray.get(troupe.backend("narrow").restore.remote())
    wait_until(lambda: all(gateway.post("narrow").status_code == 200 for _ in range(6)), 5)
