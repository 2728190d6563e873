"""What does it cost to be ready for errors when there is none? The aim: under 5 us for each of these."""

import random

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from actors.protocol.messages import Attempt, Completion
from actors.resilience.error_handler import ErrorContext, safe_execute
from actors.resilience.limits import Gate
from actors.resilience.retry import AttemptBudget, RetryPolicy
from actors.resilience.wrappers import Limited, Observed, Retrying
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


def test_observed(benchmark: BenchmarkFixture) -> None:
    attempts: list[Attempt] = []

    def observe() -> Completion:
        attempts.clear()
        return finished(Observed(PORT, "instant", attempts.append).complete(CALL))

    assert benchmark(observe) is COMPLETION
    assert [attempt.outcome for attempt in attempts] == ["ok"]


def test_limited(benchmark: BenchmarkFixture) -> None:
    gate = Gate("instant", permits=8, queue=8)

    assert benchmark(lambda: finished(Limited(PORT, gate).complete(CALL))) is COMPLETION
    assert gate.in_flight == 0


def test_retrying(benchmark: BenchmarkFixture) -> None:
    rng, policy = random.Random(1), RetryPolicy()

    def try_once() -> Completion:
        return finished(Retrying(PORT, policy, AttemptBudget(6), rng).complete(CALL))

    assert benchmark(try_once) is COMPLETION


def test_all_wrappers_together(benchmark: BenchmarkFixture) -> None:
    attempts: list[Attempt] = []
    rng, gate = random.Random(1), Gate("instant", permits=8, queue=8)

    def nest_and_call() -> Completion:
        attempts.clear()
        observed = Observed(PORT, "instant", attempts.append)
        port = Retrying(Limited(observed, gate), RetryPolicy(2), AttemptBudget(6), rng)
        return finished(port.complete(CALL))

    assert benchmark(nest_and_call) is COMPLETION
    assert [attempt.outcome for attempt in attempts] == ["ok"]
