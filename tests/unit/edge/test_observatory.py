import pytest

from actors.protocol.errors import CallerError, NotFound, TracerError
from tests.unit.edge.fake_gateway import FakeGateway


async def test_a_known_request_is_explained() -> None:
    assert await FakeGateway().observatory.explain("req_known") == {"request_id": "req_known"}


async def test_an_unknown_request_is_looked_for_twice_and_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.edge.observatory.UNDER_WAY_S", 0.0)

    with pytest.raises(NotFound):
        await FakeGateway().observatory.explain("req_other")


async def test_usage_is_of_a_day_or_of_all_days() -> None:
    gateway = FakeGateway()

    await gateway.observatory.usage()
    await gateway.observatory.usage("2026-11-23")

    assert gateway.tracing.days == [None, "2026-11-23"]
    with pytest.raises(CallerError):
        await gateway.observatory.usage("yesterday")


async def test_without_the_tracer_an_error_says_so_and_the_metrics_hold_what_the_replica_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.edge.observatory.FLUSH_PATIENCE_S", 0.0)
    gateway = FakeGateway()
    gateway.tracing.gone = True

    with pytest.raises(TracerError):
        await gateway.observatory.usage()
    assert b"troupe_tracer_up 0.0" in await gateway.observatory.metrics()
