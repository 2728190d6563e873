"""Switchboard: which way calls go, and what becomes of a provider whose lease has changed."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from actors.providers.scripted import Scripted
from actors.routing.table import BackendRecord, Lease
from actors.switchboard import Switchboard

NET = BackendRecord("net", "openai", "m", hosted=False, lease=Lease("http://127.0.0.1:1/v1", "old"))


class Direct(Scripted):
    """A provider that remembers its credential, and whether it was closed."""

    def __init__(self, backend: BackendRecord, base_url: str, api_key: str | None) -> None:
        super().__init__(backend.name, {"reply": base_url})
        self.api_key = api_key
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class Pause:
    """A sleep that ends when a test says so."""

    slept_s: float = 0.0
    over: asyncio.Event | None = None

    async def __call__(self, seconds: float) -> None:
        self.slept_s = seconds
        self.over = asyncio.Event()
        await self.over.wait()


@pytest.fixture
def pause() -> Pause:
    return Pause()


@pytest.fixture
def switchboard(pause: Pause) -> Switchboard:
    return Switchboard(lambda name: Scripted(name, {}), Direct, longest_call_s=60.0, sleep=pause)


def test_without_an_address_of_its_own_a_backend_is_called_through_its_actor(switchboard: Switchboard) -> None:
    hosted = BackendRecord("local", "llama_cpp", "m", hosted=True)

    port = switchboard.port_for(hosted)

    assert not isinstance(port, Direct)
    assert switchboard.port_for(replace(hosted, lease=Lease(None))) is port


def test_the_same_lease_leads_to_the_same_provider(switchboard: Switchboard) -> None:
    port = switchboard.port_for(NET)

    assert isinstance(port, Direct)
    assert switchboard.port_for(replace(NET, breaker="open", max_concurrency=1)) is port


async def test_a_provider_whose_lease_was_replaced_is_closed_after_its_last_call(
    switchboard: Switchboard, pause: Pause
) -> None:
    old = switchboard.port_for(NET)
    new = switchboard.port_for(replace(NET, lease=Lease("http://127.0.0.1:1/v1", "new")))
    assert isinstance(old, Direct)
    assert isinstance(new, Direct)
    await asyncio.sleep(0)
    assert (new.api_key, old.closed, pause.slept_s) == ("new", False, 60.0)

    assert pause.over is not None
    pause.over.set()
    await asyncio.sleep(0.01)

    assert (old.closed, new.closed) == (True, False)
