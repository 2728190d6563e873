"""Router: which tables it publishes, and how it looks after the supervisor."""

import asyncio
from collections.abc import Mapping

import pytest

from actors.protocol.clock import ManualClock
from actors.protocol.errors import SupervisorError, UnknownModel
from actors.protocol.messages import Pulse
from actors.router import Router
from actors.routing.table import BackendRecord, Lease, Measured, ModelRecord


class FakeSources:
    def __init__(self) -> None:
        self.away = False
        self.supervisor_hangs = False
        self.replaced: list[int | None] = []
        self.measurements: Mapping[str, Measured] = {}

    async def measured(self) -> Mapping[str, Measured]:
        if self.away:
            raise SupervisorError("the tracer is away")
        return self.measurements

    async def weights(self) -> Mapping[str, Mapping[str, float]]:
        return {"unknown": {"net": 0.5, "local": 0.5}}

    async def lease(self, backend: str) -> Lease | None:
        return Lease("http://127.0.0.1:1/v1", "sk-secret", 8)

    async def supervisor_pulse(self, patience_s: float) -> Pulse:
        if self.supervisor_hangs:
            raise TimeoutError
        return Pulse("supervisor", 42, "node", 1.0)

    def replace_supervisor(self, last: Pulse | None) -> None:
        self.replaced.append(last.pid if last else None)


@pytest.fixture
def sources() -> FakeSources:
    return FakeSources()


@pytest.fixture
def router(sources: FakeSources) -> Router:
    backends = {
        "net": BackendRecord("net", "openai", "gpt", hosted=False),
        "local": BackendRecord("local", "llama_cpp", "smol", hosted=True),
    }
    return Router(
        backends, {"m": ModelRecord("m", "failover", ["net", "local"])}, sources, lambda: None, "", ManualClock()
    )


async def test_the_first_table_is_there_before_anything_was_learned(router: Router) -> None:
    table = await router.newer_table(0, 0.0)

    assert table is not None
    assert list(table.backends) == ["net", "local"]


async def test_a_refresh_collects_leases_of_network_backends_and_weights(router: Router) -> None:
    await router.refresh()

    table = await router.table()
    assert table.backends["net"].lease == Lease("http://127.0.0.1:1/v1", "sk-secret", 8)
    assert table.backends["local"].lease is None
    assert table.weights == {"unknown": {"net": 0.5, "local": 0.5}}


async def test_a_lease_never_prints_its_key(router: Router) -> None:
    await router.refresh()

    assert "sk-secret" not in repr(await router.table())


async def test_a_refresh_without_news_publishes_nothing(router: Router) -> None:
    await router.refresh()
    before = (await router.table()).version
    await router.refresh()

    assert (await router.table()).version == before


async def test_with_the_tracer_away_the_last_measurements_stay(router: Router, sources: FakeSources) -> None:
    sources.measurements = {"net": Measured(p50_ms=7.0)}
    await router.refresh()
    sources.away = True
    await router.refresh()

    assert (await router.table()).backends["net"].measured.p50_ms == 7.0


async def test_whoever_waits_gets_the_next_table_at_once(router: Router) -> None:
    known = (await router.table()).version
    waiting = asyncio.create_task(router.newer_table(known, 5.0))
    await asyncio.sleep(0)

    await router.set_breakers({"net": "open"})

    table = await waiting
    assert table is not None
    assert table.version == known + 1
    assert table.backends["net"].breaker == "open"


async def test_waiting_in_vain_gives_none(router: Router) -> None:
    assert await router.newer_table((await router.table()).version, 0.0) is None


async def test_the_best_model_follows_the_breakers(router: Router) -> None:
    assert await router.get_best_model("m") == "net"

    await router.set_breakers({"net": "open", "local": "closed"})

    assert await router.get_best_model("m") == "local"


async def test_an_unknown_model_is_an_error_with_a_suggestion(router: Router) -> None:
    with pytest.raises(UnknownModel, match="'local'"):
        await router.get_best_model("locl")


async def test_draining_is_published(router: Router) -> None:
    await router.drain()

    assert (await router.table()).draining


async def test_a_supervisor_that_hangs_three_times_is_replaced(router: Router, sources: FakeSources) -> None:
    await router.watch_supervisor()
    sources.supervisor_hangs = True
    for _ in range(3):
        await router.watch_supervisor()

    assert sources.replaced == [42]
