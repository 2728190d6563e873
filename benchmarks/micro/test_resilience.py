"""What does it cost to be ready for errors when there is none? The aim: under 5 us for each of these."""

import random

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from actors.protocol.messages import Attempt, Completion
from actors.resilience.error_handler import ErrorContext, safe_execute
from actors.resilience.limits import Gate
from actors.resilience.retry import AttemptBudget, RetryPolicy
from actors.resilience.wrappers import Trying
from actors.tracing.spans import performance_tracer, trace_block
from benchmarks.micro.driving import CALL, COMPLETION, InstantModel, finished

PORT = InstantModel()


async def succeed() -> str:
    return "done"


def test_safe_execute(benchmark: BenchmarkFixture) -> None:
    assert benchmark(lambda: finished(safe_execute(succeed, "router", "choose"))) == "done"


def test_an_error_context(benchmark: BenchmarkFixture) -> None:
    def enter_and_leave() -> str:
        with ErrorContext("router", "choose"):
            return "done"

    assert benchmark(enter_and_leave) == "done"


@pytest.mark.parametrize("enabled", [True, False], ids=["on", "off"])
def test_a_traced_block(benchmark: BenchmarkFixture, enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance_tracer, "enabled", enabled)

    def enter_and_leave() -> str:
        with trace_block("router", "choose"):
            return "done"

    assert benchmark(enter_and_leave) == "done"


def test_a_gate_with_room(benchmark: BenchmarkFixture) -> None:
    gate = Gate("instant", permits=8, queue=8)

    def enter_and_leave() -> bool:
        waited = finished(gate.enter(1.0))
        gate.leave()
        return waited

    assert benchmark(enter_and_leave) is False
    assert gate.in_flight == 0


def test_the_bare_port(benchmark: BenchmarkFixture) -> None:
    assert benchmark(lambda: finished(PORT.complete(CALL))) is COMPLETION


def test_a_call_that_is_limited_reported_and_could_be_tried_again(benchmark: BenchmarkFixture) -> None:
    attempts: list[Attempt] = []
    rng, gate = random.Random(1), Gate("instant", permits=8, queue=8)

    def nest_and_call() -> Completion:
        attempts.clear()
        port = Trying(PORT, "instant", gate, RetryPolicy(2), AttemptBudget(6), rng, attempts.append)
        return finished(port.complete(CALL))

    assert benchmark(nest_and_call) is COMPLETION
    assert [attempt.outcome for attempt in attempts] == ["ok"]
