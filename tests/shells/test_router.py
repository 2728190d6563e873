"""Router: which tables it publishes, and how it looks after the supervisor."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from actors.protocol.clock import ManualClock
from actors.protocol.errors import SupervisorError, UnknownModel
from actors.protocol.messages import Pulse
from actors.protocol.outlook import Outlook
from actors.protocol.patterns import Gain, Gains
from actors.protocol.predictions import Expected, Predictions
from actors.protocol.ratings import Rating
from actors.protocol.trust import Trust
from actors.router import Router
from actors.routing.table import BackendRecord, Lease, Measured, ModelRecord


class Foreseen:
    """Expects the same of every question."""

    version = 5
    boldness = 1.0

    def expected(self, features: str, task_type: str) -> Mapping[str, Expected]:
        return {"net": Expected(0.9, 0.1)}


class FakeSources:
    def __init__(self) -> None:
        self.away = False
        self.supervisor_hangs = False
        self.replaced: list[int | None] = []
        self.measurements: Mapping[str, Measured] = {}
        self.leases = {"net": Lease("http://127.0.0.1:1/v1", "sk-secret"), "local": Lease(None)}
        self.leases_asked: list[str] = []
        self.shown: list[Outlook] = []

    async def measured(self) -> Mapping[str, Measured]:
        if self.away:
            raise SupervisorError("the tracer is away")
        return self.measurements

    async def weights(self) -> Mapping[str, Mapping[str, float]]:
        return {"unknown": {"net": 0.5, "local": 0.5}}

    async def trust(self) -> Mapping[str, Mapping[str, Trust]]:
        return {"panel": {"unknown": Trust({"net": 2.0, "local": 0.5}, 0.1, 7)}}

    async def ratings(self) -> Mapping[str, Mapping[str, Rating]]:
        return {"any": {"net": Rating(0.75, 10.0)}}

    async def gains(self) -> Gains:
        return {"net": {"math": {"step_by_step": Gain(0.3, 0.1, 0.5, 40.0)}}}

    async def predictions(self, known_version: int) -> tuple[int, Predictions | None] | None:
        return None if known_version == 5 else (5, Foreseen())

    async def lease(self, backend: str) -> Lease:
        self.leases_asked.append(backend)
        if backend not in self.leases:
            raise SupervisorError("not there yet")
        return self.leases[backend]

    async def supervisor_pulse(self, patience_s: float) -> Pulse:
        if self.supervisor_hangs:
            raise TimeoutError
        return Pulse("supervisor", 42, "node", 1.0)

    def show_outlook(self, outlook: Outlook) -> None:
        self.shown.append(outlook)

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


async def test_a_refresh_collects_leases_and_weights(router: Router) -> None:
    await router.refresh()

    table = await router.table()
    assert table.backends["net"].lease == Lease("http://127.0.0.1:1/v1", "sk-secret")
    assert table.backends["local"].direct_lease is None
    assert table.weights == {"unknown": {"net": 0.5, "local": 0.5}}
    assert table.ratings["any"]["net"].quality_01 == 0.75
    assert table.gains["net"]["math"]["step_by_step"].low == 0.1
    assert table.predictions is not None
    assert table.predictions.version == 5
    assert table.trust["panel"]["unknown"].weights == {"net": 2.0, "local": 0.5}


async def test_a_lease_is_asked_for_until_it_is_granted_and_then_no_more(router: Router, sources: FakeSources) -> None:
    lease = sources.leases.pop("net")
    await router.refresh()
    sources.leases["net"] = lease
    await router.refresh()
    await router.refresh()

    assert sources.leases_asked == ["local", "net", "net"]
    assert (await router.table()).backends["net"].lease == lease


async def test_a_revoked_lease_is_published_at_once_and_so_is_its_return(router: Router, sources: FakeSources) -> None:
    await router.refresh()
    granted = sources.leases["net"]

    sources.leases["net"] = replace(granted, is_revoked=True)
    await router.note_leases({"net": 7.0, "local": 0.0})
    assert (await router.table()).backends["net"].is_revoked
    assert await router.get_best_model("m") == "local"

    sources.leases["net"] = granted
    await router.note_leases({"net": 8.0, "local": 0.0})
    assert not (await router.table()).backends["net"].is_revoked


async def test_a_backend_that_restarts_is_not_asked_and_so_stays_revoked(router: Router, sources: FakeSources) -> None:
    await router.refresh()
    granted = sources.leases["net"]
    sources.leases["net"] = replace(granted, is_revoked=True)
    await router.note_leases({"net": 7.0})

    sources.leases["net"] = granted
    await router.note_leases({"net": 0.0})
    await router.refresh()

    assert (await router.table()).backends["net"].is_revoked


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


async def test_each_round_shows_what_the_table_lets_one_expect(router: Router, sources: FakeSources) -> None:
    sources.measurements = {"net": Measured(p50_ms=80.0)}

    await router.refresh()
    await router.refresh()

    assert [outlook.prospects["net"].p50_ms for outlook in sources.shown] == [80.0, 80.0]
    assert sources.shown[-1].version == (await router.table()).version
