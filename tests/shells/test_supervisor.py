"""Supervisor: what one round of probes finds, and what it does about it."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from actors.protocol.clock import ManualClock
from actors.protocol.errors import SupervisorError
from actors.protocol.messages import LEASE_VERSION, ActorStatus, Pulse, Role
from actors.routing.table import BreakerState
from actors.supervisor import Discipline, Supervisor

DISCIPLINE = Discipline(strikes=2, max_restarts=2, window_s=60, recreate_after_s=8, start_limit_s=100)
ROLES = [Role("router", "router", object), Role("backend:a", "backend", object), Role("backend:b", "backend", object)]


class FakeCompany:
    """Actors that answer, hang or are dead as a test says, and a record of what was done to them."""

    def __init__(self) -> None:
        self.pids = {role.name: number for number, role in enumerate(ROLES, start=100)}
        self.hung: set[str] = set()
        self.dead: set[str] = set()
        self.sick: dict[str, str] = {}
        self.done: list[tuple[str, str]] = []
        self.replaced_pids: list[int | None] = []
        self.told: list[Mapping[str, BreakerState]] = []
        self.leases_told: list[Mapping[str, float]] = []
        self.lease_versions: dict[str, float] = {}

    def raise_actor(self, role: Role) -> None:
        self.done.append(("raise", role.name))

    async def pulse(self, name: str, patience_s: float) -> Pulse:
        if name in self.hung:
            raise TimeoutError
        if name in self.dead:
            raise SupervisorError("ended")
        gauges = {LEASE_VERSION: self.lease_versions.get(name, 0.0)}
        return Pulse(name, self.pids[name], "node", 5.0, name not in self.sick, self.sick.get(name), gauges)

    def replace(self, name: str, last: Pulse | None) -> None:
        self.done.append(("replace", name))
        self.replaced_pids.append(last.pid if last else None)

    def dismiss(self, name: str) -> None:
        self.done.append(("dismiss", name))

    async def stop(self, name: str, patience_s: float) -> None:
        self.done.append(("stop", name))

    async def set_breakers(self, breakers: Mapping[str, BreakerState], trials: Mapping[str, str | None]) -> None:
        if "router" in self.dead:
            raise SupervisorError("ended")
        self.told.append(breakers)
        self.trials = trials

    async def note_leases(self, versions: Mapping[str, float]) -> None:
        self.leases_told.append(versions)

    async def drain(self) -> None:
        self.done.append(("drain", "router"))

    def restart(self, name: str) -> None:
        self.dead.discard(name)
        self.hung.discard(name)
        self.pids[name] += 1000


@pytest.fixture
def company() -> FakeCompany:
    return FakeCompany()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def supervisor(company: FakeCompany, clock: ManualClock) -> Supervisor:
    return Supervisor(ROLES, company, lambda: None, "edition", DISCIPLINE, clock)


async def status_of(supervisor: Supervisor, name: str) -> ActorStatus:
    return next(status for status in await supervisor.status() if status.name == name)


async def test_start_creates_every_actor_in_order(supervisor: Supervisor, company: FakeCompany) -> None:
    await supervisor.start()

    assert company.done == [("raise", "router"), ("raise", "backend:a"), ("raise", "backend:b")]
    await supervisor.stop()


async def test_an_actor_that_answers_is_alive(supervisor: Supervisor) -> None:
    await supervisor.look_after_all()

    status = await status_of(supervisor, "backend:a")
    assert (status.kind, status.state, status.pid, status.restarts) == ("backend", "alive", 101, 0)


async def test_an_actor_that_is_still_loading_is_starting_and_may_be_called(
    supervisor: Supervisor, company: FakeCompany
) -> None:
    company.sick["backend:a"] = "starting"

    await supervisor.look_after_all()

    assert (await status_of(supervisor, "backend:a")).state == "starting"
    assert company.told == [{"a": "closed", "b": "closed"}]


async def test_an_unfit_backend_is_degraded_and_the_router_is_told(
    supervisor: Supervisor, company: FakeCompany
) -> None:
    company.sick["backend:a"] = "the upstream refuses our key"

    await supervisor.look_after_all()

    status = await status_of(supervisor, "backend:a")
    assert (status.state, status.detail) == ("degraded", "the upstream refuses our key")
    assert company.told == [{"a": "open", "b": "closed"}]


async def test_the_router_is_told_news_only_but_again_after_its_own_restart(
    supervisor: Supervisor, company: FakeCompany
) -> None:
    await supervisor.look_after_all()
    await supervisor.look_after_all()
    company.restart("router")
    await supervisor.look_after_all()

    assert len(company.told) == 2


async def test_a_death_opens_the_breaker_and_the_return_closes_it(supervisor: Supervisor, company: FakeCompany) -> None:
    await supervisor.look_after_all()
    company.dead.add("backend:a")
    await supervisor.look_after_all()
    during = await status_of(supervisor, "backend:a")
    company.restart("backend:a")
    await supervisor.look_after_all()
    after = await status_of(supervisor, "backend:a")

    assert (during.state, after.state, after.restarts, after.pid) == ("restarting", "alive", 1, 1101)
    assert [told["a"] for told in company.told] == ["closed", "open", "closed"]


async def test_an_actor_that_does_not_come_back_is_created_again(
    supervisor: Supervisor, company: FakeCompany, clock: ManualClock
) -> None:
    company.dead.add("backend:a")
    await supervisor.look_after_all()
    clock.advance(9)
    await supervisor.look_after_all()

    assert company.done == [("raise", "backend:a")]


async def test_a_hung_actor_is_replaced_at_the_second_missed_probe(
    supervisor: Supervisor, company: FakeCompany
) -> None:
    await supervisor.look_after_all()
    company.hung.add("backend:b")
    await supervisor.look_after_all()
    assert company.done == []

    await supervisor.look_after_all()

    assert company.done == [("replace", "backend:b")]
    assert (await status_of(supervisor, "backend:b")).state == "restarting"


async def test_an_actor_whose_process_is_being_started_may_be_silent(
    supervisor: Supervisor, company: FakeCompany, clock: ManualClock
) -> None:
    company.hung.add("backend:b")
    for _ in range(10):
        await supervisor.look_after_all()
        clock.advance(3)

    assert company.done == []
    assert (await status_of(supervisor, "backend:b")).state == "starting"


async def test_a_model_that_loads_may_be_silent_as_well(
    supervisor: Supervisor, company: FakeCompany, clock: ManualClock
) -> None:
    company.sick["backend:b"] = "starting"
    await supervisor.look_after_all()
    company.hung.add("backend:b")
    for _ in range(10):
        clock.advance(3)
        await supervisor.look_after_all()

    assert company.done == []


async def test_a_successor_that_never_answered_is_not_taken_for_the_process_before_it(
    supervisor: Supervisor, company: FakeCompany
) -> None:
    await supervisor.look_after_all()
    company.hung.add("backend:b")
    for _ in range(4):
        await supervisor.look_after_all()

    assert company.replaced_pids == [102, None]


async def test_a_restarted_model_that_loads_again_is_passed_over(supervisor: Supervisor, company: FakeCompany) -> None:
    await supervisor.look_after_all()
    company.restart("backend:a")
    company.sick["backend:a"] = "starting"
    await supervisor.look_after_all()

    assert company.told[-1] == {"a": "open", "b": "closed"}


async def test_a_restarted_router_is_told_again_that_the_gateway_drains(
    supervisor: Supervisor, company: FakeCompany
) -> None:
    await supervisor.look_after_all()
    await supervisor.announce(Pulse("ensemble:1", 7, "node", 1.0, gauges={"draining": 1.0, "in_flight": 0.0}))
    await supervisor.drain(1.0)
    company.restart("router")
    await supervisor.look_after_all()

    assert company.done == [("drain", "router"), ("drain", "router")]


async def test_a_company_that_no_replica_visits_is_abandoned(supervisor: Supervisor, clock: ManualClock) -> None:
    clock.advance(59)
    assert not supervisor.abandoned()

    await supervisor.announce(Pulse("ensemble:1", 7, "node", 1.0))
    clock.advance(59)
    assert not supervisor.abandoned()

    clock.advance(2)
    assert supervisor.abandoned()


async def test_beyond_the_restart_intensity_it_gives_up_for_good(
    supervisor: Supervisor, company: FakeCompany, clock: ManualClock
) -> None:
    await supervisor.look_after_all()
    for _ in range(3):
        company.restart("backend:a")
        clock.advance(5)
        await supervisor.look_after_all()

    status = await status_of(supervisor, "backend:a")
    assert status.state == "dead"
    assert status.detail == "given up after 3 restarts in 60 s"
    assert company.done == [("dismiss", "backend:a")]


async def test_restarts_that_are_long_past_do_not_count(
    supervisor: Supervisor, company: FakeCompany, clock: ManualClock
) -> None:
    await supervisor.look_after_all()
    for _ in range(5):
        company.restart("backend:a")
        clock.advance(45)
        await supervisor.look_after_all()

    assert (await status_of(supervisor, "backend:a")).state == "alive"


async def test_a_silent_replica_disappears_from_the_status(supervisor: Supervisor, clock: ManualClock) -> None:
    await supervisor.announce(Pulse("ensemble:1", 7, "node", 1.0))
    assert (await status_of(supervisor, "ensemble:1")).kind == "ensemble"

    clock.advance(DISCIPLINE.forget_replica_after_s + 1)

    assert "ensemble:1" not in [status.name for status in await supervisor.status()]


async def test_stopping_ends_the_children_last_created_first(supervisor: Supervisor, company: FakeCompany) -> None:
    await supervisor.stop()

    assert company.done == [("stop", "backend:b"), ("stop", "backend:a"), ("stop", "router")]


async def test_draining_is_over_once_every_replica_drains_and_is_idle(
    supervisor: Supervisor, company: FakeCompany
) -> None:
    await supervisor.announce(Pulse("ensemble:1", 7, "node", 1.0, gauges={"draining": 1.0, "in_flight": 0.0}))

    await supervisor.drain(10.0)

    assert company.done == [("drain", "router")]


async def test_the_router_hears_of_a_changed_lease_once(supervisor: Supervisor, company: FakeCompany) -> None:
    await supervisor.look_after_all()
    company.lease_versions["backend:a"] = 7.0
    for _ in range(2):
        await supervisor.look_after_all()

    assert company.leases_told == [{"a": 0.0, "b": 0.0}, {"a": 7.0, "b": 0.0}]


async def test_what_one_replica_has_shut_is_shut_for_all_and_tried_by_that_one(
    supervisor: Supervisor, company: FakeCompany
) -> None:
    await supervisor.look_after_all()

    await supervisor.announce(Pulse("ensemble:1", 1, "node", 1.0, shut=["a"]))
    assert (company.told[-1], company.trials) == ({"a": "open", "b": "closed"}, {"a": "ensemble:1", "b": None})

    await supervisor.announce(Pulse("ensemble:2", 2, "node", 1.0, shut=[]))
    assert len(company.told) == 2
    await supervisor.announce(Pulse("ensemble:1", 1, "node", 2.0, shut=[]))
    assert company.told[-1] == {"a": "closed", "b": "closed"}


async def test_each_decision_is_told_with_its_reason_the_newest_first(
    supervisor: Supervisor, company: FakeCompany, clock: ManualClock
) -> None:
    await supervisor.look_after_all()
    company.dead.add("backend:a")
    await supervisor.look_after_all()
    company.restart("backend:a")
    await supervisor.look_after_all()

    await supervisor.announce(Pulse("ensemble:1", 1, "node", 1.0, shut=["b"]))
    told = await supervisor.announce(Pulse("ensemble:1", 1, "node", 2.0, shut=[]))

    assert [(ruling.about, ruling.decision, ruling.reason) for ruling in told.rulings] == [
        ("backend:b", "breaker closed", "it answers again"),
        ("backend:b", "breaker opened", "its calls failed at ensemble:1"),
        ("backend:a", "restarted", "its process ended (restart 1)"),
    ]


async def test_counts_of_restarts_outlive_the_supervisor_itself(supervisor: Supervisor) -> None:
    await supervisor.announce(Pulse("ensemble:1", 1, "node", 1.0, restarts={"backend:a": 3}))

    assert (await status_of(supervisor, "backend:a")).restarts == 3


async def test_where_all_backends_go_with_one_they_are_started_anew_once(
    company: FakeCompany, clock: ManualClock
) -> None:
    supervisor = Supervisor(ROLES, company, lambda: None, "", replace(DISCIPLINE, backends="one_for_all"), clock)
    await supervisor.look_after_all()

    company.restart("backend:a")
    await supervisor.look_after_all()
    assert company.done == [("replace", "backend:b")]
    company.restart("backend:b")
    await supervisor.look_after_all()

    assert company.done == [("replace", "backend:b")]
    status = await status_of(supervisor, "backend:b")
    assert (status.state, status.restarts, status.detail) == ("alive", 1, "last restart: backend:a was restarted")
