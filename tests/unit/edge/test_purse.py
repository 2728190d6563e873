from collections.abc import Mapping
from dataclasses import replace

import pytest

from actors.edge.gateway import ChatRequest, Wishes
from actors.edge.purse import Purse
from actors.protocol.clock import ManualClock
from actors.protocol.errors import Overloaded, QuotaExceeded
from actors.protocol.messages import Attempt, DecisionRecord, Usage
from actors.routing.table import BackendRecord, ModelRecord, Price, RoutingTable

# 1 USD per token out: a request for 2 tokens is expected to cost 2 USD.
BACKEND = BackendRecord("a", "scripted", "a", hosted=True, price=Price(0.0, 1e6))
TABLE = RoutingTable(1, {"a": BACKEND}, {"team": ModelRecord("team", "failover", ["a"])})


def request(name: str, key: str | None = "ann", model: str = "a", tokens: int = 2) -> ChatRequest:
    return ChatRequest(name, model, {"messages": [], "max_tokens": tokens}, False, False, 1, Wishes(), key, 0.0)


def record(name: str, cost_usd: float, key: str = "ann") -> DecisionRecord:
    return DecisionRecord(name, 0.0, "a", "single", "a", "ok", 200, 1.0, 1.0, False, cost_usd=cost_usd, key_name=key)


class Lender:
    """Lends what it is told to, and remembers what it heard."""

    def __init__(self, usd: float) -> None:
        self.usd = usd
        self.heard: list[Mapping[str, float]] = []
        self.reachable = True

    async def lend(self, held_usd: Mapping[str, float]) -> Mapping[str, float]:
        self.heard.append(held_usd)
        return dict.fromkeys(held_usd, self.usd)

    async def flush(self) -> bool:
        return self.reachable


async def filled(usd: float, budget: str = "key:ann", clock: ManualClock | None = None) -> tuple[Purse, Lender]:
    purse, lender = Purse([budget], clock or ManualClock()), Lender(usd)
    await purse.renew(lender.lend, lender.flush)
    return purse, lender


async def test_racing_requests_cannot_overrun_the_slice() -> None:
    purse, _ = await filled(5.0)
    purse.reserve(request("r1"), TABLE)
    purse.reserve(request("r2"), TABLE)

    with pytest.raises(QuotaExceeded) as refusal:
        purse.reserve(request("r3"), TABLE)

    assert (refusal.value.status, refusal.value.code, refusal.value.kind) == (429, *["insufficient_quota"] * 2)
    assert "'ann'" in refusal.value.message


async def test_who_comes_while_it_is_set_aside_for_others_is_told_to_come_again_and_who_comes_too_late_is_not() -> None:
    purse, _ = await filled(3.0)
    purse.reserve(request("r1"), TABLE)
    with pytest.raises(QuotaExceeded) as soon:
        purse.reserve(request("r2"), TABLE)
    purse.settle(record("r1", 2.0))
    with pytest.raises(QuotaExceeded) as never:
        purse.reserve(request("r3"), TABLE)

    assert (soon.value.retry_after_s, never.value.retry_after_s) == (1.0, None)


async def test_what_is_given_back_twice_is_given_back_once() -> None:
    purse, _ = await filled(5.0)
    purse.reserve(request("r1", tokens=3), TABLE)
    purse.reserve(request("r2"), TABLE)

    purse.release("r2")
    purse.release("r2")

    with pytest.raises(QuotaExceeded):
        purse.reserve(request("r3", tokens=3), TABLE)


async def test_settling_takes_what_it_really_cost_and_releasing_gives_it_back() -> None:
    purse, _ = await filled(5.0)
    purse.reserve(request("r1"), TABLE)
    purse.reserve(request("r2"), TABLE)

    purse.settle(record("r1", 0.5))
    purse.release("r2")

    purse.reserve(request("r3", tokens=4), TABLE)
    with pytest.raises(QuotaExceeded):
        purse.reserve(request("r4", tokens=1), TABLE)


async def test_other_keys_are_free_and_a_models_budget_binds_all_keys() -> None:
    purse, _ = await filled(0.0)
    purse.reserve(request("r1", key="bob"), TABLE)
    purse, _ = await filled(1.0, "model:team")
    purse.reserve(request("r2", key="bob"), TABLE)

    with pytest.raises(QuotaExceeded):
        purse.reserve(request("r3", key="bob", model="team"), TABLE)


async def test_before_the_first_slice_and_long_after_the_last_one_callers_are_told_to_come_again() -> None:
    clock = ManualClock()
    with pytest.raises(Overloaded):
        Purse(["key:ann"], clock).reserve(request("r1"), TABLE)
    purse, _ = await filled(5.0, clock=clock)
    clock.advance(50.1)

    with pytest.raises(Overloaded):
        purse.reserve(request("r1"), TABLE)


async def test_a_renewal_tells_what_is_left_once_the_spending_is_known() -> None:
    purse, lender = await filled(5.0)
    purse.settle(record("r1", 2.0))
    lender.reachable = False
    await purse.renew(lender.lend, lender.flush)
    lender.reachable = True

    await purse.renew(lender.lend, lender.flush)

    assert lender.heard == [{"key:ann": 0.0}, {"key:ann": 3.0}]
    purse.reserve(request("r2", tokens=5), TABLE)


async def test_a_request_that_is_refused_is_on_the_record() -> None:
    records: list[DecisionRecord] = []
    purse, lender = Purse(["key:ann"], ManualClock(), records.append), Lender(1.0)
    await purse.renew(lender.lend, lender.flush)

    with pytest.raises(QuotaExceeded):
        purse.reserve(request("r1"), TABLE)

    (told,) = records
    assert (told.request_id, told.outcome, told.status) == ("r1", "insufficient_quota", 429)
    assert (told.key_name, told.cost_usd) == ("ann", None)


async def test_who_set_no_limit_sets_aside_what_the_longest_answer_would_cost() -> None:
    purse, _ = await filled(9_000.0)
    long = Attempt("a", "ok", 1.0, usage=Usage(0, 5_000))
    purse.settle(replace(record("r1", 0.0), attempts=(long,)))
    purse.reserve(request("r2", tokens=0), TABLE)

    with pytest.raises(QuotaExceeded):
        purse.reserve(request("r3", tokens=0), TABLE)


async def test_a_name_that_nobody_has_is_left_to_those_who_know_better_words() -> None:
    purse, _ = await filled(0.0)

    purse.reserve(request("r1", model="nobody"), TABLE)
