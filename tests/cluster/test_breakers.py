"""A provider that is down and comes back: is it left alone in the meantime, by all replicas, and found again soon?"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.running_gateway import RunningGateway, wait_until
from tests.support.single import Start, start  # noqa: F401
from tests.support.upstream_thread import upstream_in_thread
from tests.unit.providers.upstream_server import completion, whole

CONFIG = """
server: {{replicas: 2}}
backends:
  primary: {{provider: openai, base_url: {url}, model: m, max_retries: 0}}
  spare: {{provider: scripted, script: {{reply: from the spare one}}}}
models:
  both: {{strategy: failover, members: [primary, spare]}}
"""


@dataclass
class Provider:
    """Fails completions while it is `down`; its other routes go on, so that only completions tell."""

    down: threading.Event = field(default_factory=threading.Event)
    came_s: list[float] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.came_s.append(time.monotonic())
        if self.down.is_set():
            return await whole({"error": {"message": "down"}}, status=500)(request)
        return await whole(completion("from the primary one"))(request)


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def gateway(provider: Provider, start: Start, tmp_path: Path) -> Iterator[RunningGateway]:  # noqa: F811
    with upstream_in_thread(provider.answer) as server:
        path = tmp_path / "breakers.yaml"
        path.write_text(CONFIG.format(url=server.base_url))
        started = start(path)
        wait_until(lambda: sum(name.startswith("ensemble:") for name in started.states()) == 2, 30)
        yield started


def backend_of(gateway: RunningGateway) -> str:
    reply = gateway.post("both")
    assert reply.status_code == 200
    return str(reply.json()["troupe"]["backend"])


def breaker_of(gateway: RunningGateway) -> str:
    backends = {backend["name"]: backend for backend in gateway.status()["backends"]}
    return str(backends["primary"]["breaker"])


def test_a_provider_that_is_down_is_tried_by_single_calls_and_used_again_when_it_is_back(
    gateway: RunningGateway, provider: Provider
) -> None:
    assert {backend_of(gateway) for _ in range(6)} == {"primary"}

    provider.down.set()
    wait_until(lambda: backend_of(gateway) == "spare" and breaker_of(gateway) == "open", 10)
    time.sleep(1.0)  # until every replica has heard of it
    provider.came_s.clear()
    began_s = time.monotonic()
    while time.monotonic() - began_s < 6.0:
        assert backend_of(gateway) == "spare"
        time.sleep(0.02)
    assert 1 <= len(provider.came_s) <= 5  # a try after 1, 2, 4 and 5 s at most, and not one per replica and request

    provider.down.clear()
    back_s = time.monotonic()
    wait_until(lambda: all(backend_of(gateway) == "primary" for _ in range(6)), 8)
    assert time.monotonic() - back_s < 7.0
