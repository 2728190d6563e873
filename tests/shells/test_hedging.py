"""Is a slow first member helped out by the next one, within the share that is allowed?"""

from dataclasses import replace
from typing import Any

import pytest

from actors.orchestrating.hedging import Hedges
from actors.routing.table import Measured, ModelRecord, RoutingTable
from tests.shells.test_orchestrator import FAILS, Theatre, text_of

FIRST = ModelRecord("first", "failover", ["a", "b"], hedge_share_01=0.5)
SLOW = {"reply": "from a", "delay_s": 30}


def theatre_of(a: dict[str, Any], b: dict[str, Any], model: ModelRecord = FIRST) -> Theatre:
    theatre = Theatre({"a": a, "b": b}, model)
    theatre.changed(measured=Measured(p95_ms=10.0))
    return theatre


async def test_when_the_first_is_slower_than_usual_the_next_answers_and_the_first_is_cancelled() -> None:
    theatre = theatre_of(SLOW, {"reply": "from b"})

    body = await theatre.ask("first")

    assert body["choices"][0]["message"]["content"] == "from b"
    assert theatre.providers["a"].stats().in_flight == 0
    assert {(one.backend, one.outcome) for one in theatre.records[0].attempts} == {("a", "cancelled"), ("b", "ok")}


async def test_a_stream_whose_first_chunk_is_late_is_taken_from_the_next() -> None:
    theatre = theatre_of(SLOW, {"reply": "from b"})

    assert text_of(await theatre.events("first")) == "from b"
    assert theatre.providers["a"].stats().in_flight == 0


async def test_a_first_member_that_is_in_time_is_asked_alone() -> None:
    theatre = theatre_of({"reply": "from a"}, {"reply": "from b"})
    theatre.changed(measured=Measured(p95_ms=5000.0))

    await theatre.ask("first")

    assert theatre.providers["b"].stats().calls == 0


async def test_when_the_spare_one_fails_the_first_still_answers() -> None:
    theatre = theatre_of({"reply": "from a", "delay_s": 0.1}, FAILS)

    assert (await theatre.ask("first"))["troupe"]["backend"] == "a"


@pytest.mark.parametrize("model", [replace(FIRST, hedge_share_01=0.0), replace(FIRST, max_attempts=1)])
async def test_nobody_else_is_asked_where_that_is_not_wanted_or_not_affordable(model: ModelRecord) -> None:
    theatre = theatre_of({"reply": "from a", "delay_s": 0.1}, {"reply": "from b"}, model)

    await theatre.ask("first")

    assert theatre.providers["b"].stats().calls == 0


def test_no_more_than_the_share_is_hedged() -> None:
    hedges, model = Hedges(), replace(FIRST, hedge_share_01=0.1)
    theatre = theatre_of({}, {}, model)
    table: RoutingTable = theatre.table
    granted = 0
    for _ in range(1000):
        if hedges.after_s(model, "a", table) is not None:
            hedges.spend(model)
            granted += 1
    assert 100 <= granted <= 102


def test_a_member_that_was_never_measured_is_not_hedged() -> None:
    theatre = theatre_of({}, {})
    theatre.changed(measured=Measured())

    assert Hedges().after_s(FIRST, "a", theatre.table) is None
