"""Ensemble: a replica that follows the table, reports itself, and answers by handle; the control plane is faked."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import orjson
import pytest

from actors.edge.answer_cache import AnswerCache, AnswerStore
from actors.edge.ledger import Ledger
from actors.edge.purse import Purse
from actors.ensemble import Ensemble
from actors.lease_keeper import LeaseKeeper
from actors.orchestrating.holdings import Holdings
from actors.orchestrating.scene import Cast
from actors.orchestrator import Orchestrator
from actors.protocol.columns import Written
from actors.protocol.errors import BackendError, NotFound, Overloaded, QuotaExceeded, SupervisorError
from actors.protocol.messages import (
    ActorStatus,
    Answer,
    CompanyStatus,
    DecisionRecord,
    Failure,
    Feedback,
    JsonObject,
    Pulse,
)
from actors.protocol.patterns import Trial
from actors.protocol.ratings import Verdict
from actors.providers.scripted import Scripted
from actors.routing.shares import Grant, Renewal
from actors.routing.table import BackendRecord, Lease, ModelRecord, Price, RoutingTable
from actors.tracing.sums import Batch

BACKEND = ActorStatus("backend:a", "backend", "alive", 1, "node", 0, 1.0)
SUPERVISOR = ActorStatus("supervisor", "supervisor", "alive", 2, "node", 0, 1.0)
TABLE = RoutingTable(
    5,
    {name: BackendRecord(name, "scripted", name, hosted=True, max_retries=0) for name in ("a", "b")},
    {"pair": ModelRecord("pair", "ensemble", ["a", "b"], merge="majority_vote", quorum=1)},
)


class FakeLinks:
    """A control plane whose router and supervisor are away when a test says so."""

    address = "127.0.0.1:6379"
    namespace = "troupe"

    def __init__(self) -> None:
        self.raised = 0
        self.away = False
        self.tables: asyncio.Queue[RoutingTable] = asyncio.Queue()
        self.company: Sequence[ActorStatus] = [SUPERVISOR, BACKEND]
        self.pulses: list[Pulse] = []
        self.records: list[DecisionRecord] = []
        self.renewed: list[str] = []

    async def raise_root(self) -> None:
        self.raised += 1

    async def newer_table(self, known_version: int, wait_s: float) -> RoutingTable | None:
        return await self.tables.get()

    async def announce(self, pulse: Pulse, timeout_s: float) -> CompanyStatus:
        if self.away:
            raise SupervisorError("away")
        self.pulses.append(pulse)
        return CompanyStatus(self.company)

    async def record_decisions(self, records: Written) -> None:
        self.records += records.joined()

    async def renew(self, backend: str, renewal: Renewal) -> Grant:
        self.renewed.append(backend)
        return Grant(renewal.held, 1.0, True)

    async def trace(self, batch: Batch) -> None: ...

    async def feedback(self, feedback: Feedback) -> JsonObject:
        if feedback.request_id not in [record.request_id for record in self.records]:
            raise NotFound("no such request")
        return {"request_id": feedback.request_id, "status": "new"}

    async def optimizer_report(self) -> JsonObject:
        return {"feedback": {"acknowledged": 0}}

    async def export_learning(self) -> JsonObject:
        return {"judgements": []}

    async def import_learning(self, learned: Sequence[Verdict | Trial]) -> int:
        return len(learned)

    async def reset_learning(self) -> None: ...

    async def errors(self) -> JsonObject:
        return {"total": 0, "errors": [], "recent": []}

    async def performance_report(self, recent: int) -> JsonObject:
        return {"backends": []}

    async def usage(self, day: str | None) -> JsonObject:
        return {"total": {}}

    async def explain(self, request_id: str) -> JsonObject | None:
        return None

    async def metrics(self) -> JsonObject:
        return {}

    async def lend(self, holder: str, held_usd: Mapping[str, float]) -> Mapping[str, float]:
        return dict.fromkeys(held_usd, 1.0)


@pytest.fixture
def links() -> FakeLinks:
    return FakeLinks()


@pytest.fixture
async def ensemble(links: FakeLinks) -> AsyncIterator[Ensemble]:
    models = {"a": Scripted("a", {"reply": "42"}), "b": Scripted("b", {"faults": [{"kind": "error"}]})}
    ledger = Ledger(links)
    orchestrator = Orchestrator(Cast(lambda backend: models[backend.name], random.Random(1)), ledger.write)
    holdings = Holdings("ensemble:1", 2)
    holdings.take_up(TABLE.backends.values())
    keeper = LeaseKeeper(holdings, links.renew)
    replica = Ensemble("ensemble:1", replace(TABLE, version=0), links, orchestrator, ledger, keeper, max_in_flight=2)
    await replica.start()
    yield replica
    await replica.stop()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def asking(model: str) -> JsonObject:
    return {"model": model, "messages": [{"role": "user", "content": "6 times 7?"}]}


async def test_a_replica_creates_the_root_when_it_starts(ensemble: Ensemble, links: FakeLinks) -> None:
    await settled()

    assert links.raised == 1


async def test_it_is_ready_once_it_has_a_published_table_and_everybody_has_started(
    ensemble: Ensemble, links: FakeLinks
) -> None:
    assert ensemble.not_ready_because() == "waiting for the routing table"

    links.tables.put_nowait(TABLE)
    await settled()

    assert ensemble.not_ready_because() is None


async def test_it_waits_for_a_model_that_is_still_loading(ensemble: Ensemble, links: FakeLinks) -> None:
    links.company = [SUPERVISOR, replace(BACKEND, state="starting")]
    links.tables.put_nowait(TABLE)
    await ensemble.status()
    await settled()

    assert ensemble.not_ready_because() == "waiting for backend:a"


async def test_it_waits_for_the_leases_of_network_backends(ensemble: Ensemble, links: FakeLinks) -> None:
    net = BackendRecord("net", "openai", "gpt", hosted=False)
    links.company = [SUPERVISOR, replace(BACKEND, name="backend:net")]
    await ensemble.status()
    links.tables.put_nowait(replace(TABLE, backends={"net": net}))
    await settled()

    assert ensemble.not_ready_because() == "waiting for the leases of net"


async def test_once_ready_it_stays_so_while_a_model_restarts(ensemble: Ensemble, links: FakeLinks) -> None:
    links.tables.put_nowait(TABLE)
    await settled()
    assert ensemble.not_ready_because() is None

    links.company = [SUPERVISOR, replace(BACKEND, state="starting")]
    await ensemble.status()

    assert ensemble.not_ready_because() is None


async def test_a_table_of_another_deployment_is_not_used(ensemble: Ensemble, links: FakeLinks) -> None:
    links.tables.put_nowait(replace(TABLE, edition="another", models={}))
    await settled()

    assert [model["id"] for model in ensemble.models()] == ["pair", "a", "b"]
    assert ensemble.not_ready_because() == "waiting for the routing table"


async def test_a_lease_is_kept_while_the_router_has_no_new_one(ensemble: Ensemble, links: FakeLinks) -> None:
    lease = Lease("http://127.0.0.1:1/v1")
    net = BackendRecord("net", "openai", "gpt", hosted=False, lease=lease)
    links.tables.put_nowait(replace(TABLE, backends={"net": net}))
    await settled()
    links.tables.put_nowait(replace(TABLE, version=6, backends={"net": replace(net, lease=None)}))
    await settled()

    assert ensemble._table.backends["net"].lease == lease


async def test_a_revoked_lease_stays_so_while_the_router_has_no_other(ensemble: Ensemble, links: FakeLinks) -> None:
    net = BackendRecord("net", "openai", "gpt", hosted=False, lease=Lease("http://127.0.0.1:1/v1", is_revoked=True))
    links.tables.put_nowait(replace(TABLE, backends={"net": net}))
    await settled()
    links.tables.put_nowait(replace(TABLE, version=6, backends={"net": replace(net, lease=None)}))
    await settled()

    with pytest.raises(BackendError, match="its lease is revoked") as refusal:
        await ensemble.ask(asking("net"))
    assert refusal.value.code == "backend_unavailable"


async def test_it_renews_its_shares_from_the_start(ensemble: Ensemble, links: FakeLinks) -> None:
    await settled()

    assert links.renewed == ["a", "b"]


async def test_a_stream_counts_as_running_from_its_first_moment(ensemble: Ensemble, links: FakeLinks) -> None:
    stream = ensemble.ask_stream(asking("a"))
    await anext(stream)
    await ensemble.status()
    assert links.pulses[-1].gauges["in_flight"] == 1.0

    async for _ in stream:
        pass
    await ensemble.status()

    assert links.pulses[-1].gauges["in_flight"] == 0.0


async def test_beyond_its_limit_new_requests_are_refused_at_once(ensemble: Ensemble, links: FakeLinks) -> None:
    one, other = ensemble.ask_stream(asking("a")), ensemble.ask_stream(asking("a"))
    await anext(one)
    assert ensemble.refuses_because() is None
    await anext(other)

    refusal = ensemble.refuses_because()

    assert isinstance(refusal, Overloaded)
    assert (refusal.status, refusal.retry_after_s) == (503, 1.0)
    with pytest.raises(Overloaded, match=r"full \(2 requests are running\)"):
        await ensemble.ask(asking("a"))
    async for _ in one:
        pass
    assert ensemble.refuses_because() is None


async def test_while_draining_new_requests_are_refused_and_the_supervisor_is_told(
    ensemble: Ensemble, links: FakeLinks
) -> None:
    links.tables.put_nowait(replace(TABLE, draining=True))
    await settled()

    assert ensemble.not_ready_because() == "stopping"
    assert isinstance(ensemble.refuses_because(), Overloaded)
    assert links.pulses[-1].gauges == {"in_flight": 0.0, "draining": 1.0}
    with pytest.raises(Overloaded):
        await ensemble.ask(asking("a"))


async def test_it_answers_by_handle(ensemble: Ensemble) -> None:
    body = await ensemble.ask(asking("a"))

    assert body["choices"][0]["message"]["content"] == "42"


async def test_it_streams_by_handle(ensemble: Ensemble) -> None:
    events = [orjson.loads(event) async for event in ensemble.ask_stream(asking("a"))]

    assert "troupe" in events[-1]


async def test_orchestrate_by_handle_gives_success_and_failure_as_values(ensemble: Ensemble) -> None:
    outcomes = await ensemble.orchestrate(asking("pair"))

    assert [type(outcome) for outcome in outcomes] == [Answer, Failure]


async def test_feedback_may_follow_the_reply_at_once(ensemble: Ensemble, links: FakeLinks) -> None:
    body = await ensemble.ask(asking("a"))
    request_id = body["troupe"]["request_id"]

    assert await ensemble.record_feedback(Feedback(request_id, correct=True)) == {
        "request_id": request_id,
        "status": "new",
    }


async def test_the_status_survives_a_silent_supervisor(ensemble: Ensemble, links: FakeLinks) -> None:
    await ensemble.status()
    links.away = True

    told = await ensemble.status()

    states = {actor["name"]: actor["state"] for actor in told["actors"]}
    assert states == {"supervisor": "restarting", "backend:a": "alive"}
    assert (told["address"], told["namespace"]) == ("127.0.0.1:6379", "troupe")
    assert [backend["name"] for backend in told["backends"]] == ["a", "b"]


async def test_models_are_listed_with_what_is_behind_them(ensemble: Ensemble) -> None:
    models = {model["id"]: model["troupe"] for model in ensemble.models()}

    assert models["pair"] == {"kind": "model", "strategy": "ensemble", "members": ["a", "b"]}
    assert models["a"] == {"kind": "backend", "provider": "scripted", "model": "a"}


async def test_what_is_in_the_cache_needs_no_budget(links: FakeLinks) -> None:
    models = {"a": Scripted("a", {"reply": "42"})}
    priced = {"a": replace(TABLE.backends["a"], price=Price(0.0, 1e6))}  # a USD for each token out
    ledger, purse = Ledger(links), Purse(["model:a"])
    orchestrator = Orchestrator(Cast(lambda backend: models[backend.name], random.Random(1)), purse.settle)
    cache = AnswerCache(AnswerStore(60.0, 10, 100_000), ledger.write)
    keeper = LeaseKeeper(Holdings("ensemble:1", 1), links.renew)
    table = replace(TABLE, backends=priced, models={})
    replica = Ensemble("ensemble:1", table, links, orchestrator, ledger, keeper, cache=cache, purse=purse)
    await purse.renew(partial(links.lend, "ensemble:1"), ledger.flush_measurements)

    first = await replica.ask({**asking("a"), "max_tokens": 1})
    again = await replica.ask({**asking("a"), "max_tokens": 1})
    with pytest.raises(QuotaExceeded):
        await replica.ask({**asking("a"), "max_tokens": 1, "seed": 2})

    assert first["troupe"]["cost_usd"] == 1.0  # all that was lent
    assert again["troupe"]["cache"]["hit"]
