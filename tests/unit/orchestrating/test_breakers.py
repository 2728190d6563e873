"""Does what one replica learns of a backend change what it is allowed to ask, and only that?"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from actors.orchestrating.breakers import Breakers
from actors.protocol.clock import ManualClock
from actors.protocol.messages import Attempt
from actors.resilience.breaker import BreakerPolicy
from actors.routing.table import BackendRecord, RoutingTable

TABLE = RoutingTable(1, {name: BackendRecord(name, "openai", "m", hosted=False) for name in ("a", "b")}, {})


class Replica:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.breakers = Breakers("me", BreakerPolicy(failures=2), self.clock)
        self.breakers.on_change = self._changed
        self.breakers.later = self._later
        self.alarms_s: list[float] = []
        self.alarms: list[Callable[[], None]] = []
        self.changes = 0

    def _changed(self) -> None:
        self.changes += 1

    def _later(self, seconds: float, alarm: Callable[[], None]) -> None:
        self.alarms_s.append(seconds)
        self.alarms.append(alarm)

    def fails(self, times: int = 2) -> None:
        for _ in range(times):
            self.breakers.note(Attempt("a", "timeout", 1.0))

    def states(self, **of_a: object) -> list[str]:
        backends = {**TABLE.backends, "a": replace(TABLE.backends["a"], **of_a)}  # type: ignore[arg-type]
        table = self.breakers.applied(replace(TABLE, backends=backends))
        return [record.breaker for record in table.backends.values()]


@pytest.fixture
def replica() -> Replica:
    return Replica()


def test_a_backend_that_fails_is_left_alone(replica: Replica) -> None:
    replica.fails()
    assert replica.states() == ["open", "closed"]
    assert (replica.breakers.shut, replica.changes, replica.alarms_s) == (frozenset({"a"}), 1, [1.0])


def test_successes_alone_leave_no_trace(replica: Replica) -> None:
    replica.breakers.note(Attempt("a", "ok", 1.0))
    assert replica.breakers.applied(TABLE) == TABLE
    assert replica.changes == 0


def test_an_alarm_that_comes_a_little_early_is_set_again(replica: Replica) -> None:
    replica.fails()

    replica.clock.advance(0.9996)
    replica.alarms[0]()
    assert (replica.changes, replica.alarms_s) == (1, [1.0, 0.001])

    replica.clock.advance(0.001)
    replica.alarms[1]()
    assert replica.changes == 2
    assert replica.states() == ["half_open", "closed"]


def test_one_call_tries_and_its_success_lets_all_others_in(replica: Replica) -> None:
    replica.fails()
    replica.clock.advance(1.0)
    assert replica.states() == ["half_open", "closed"]

    replica.breakers.begin(TABLE.backends["a"])
    assert replica.states() == ["open", "closed"]
    replica.breakers.note(Attempt("a", "ok", 1.0))
    assert replica.states() == ["closed", "closed"]
    assert replica.breakers.shut == frozenset()


def test_the_one_that_holds_the_breaker_of_record_tries_and_no_other(replica: Replica) -> None:
    replica.fails()
    replica.clock.advance(1.0)
    assert replica.states(breaker="open", trial="me") == ["half_open", "closed"]
    assert replica.states(breaker="open", trial="another") == ["open", "closed"]
    assert replica.breakers.shut == frozenset()  # it follows the other from now on
    assert replica.states() == ["closed", "closed"]


def test_a_backend_whose_probes_fail_is_not_tried(replica: Replica) -> None:
    replica.fails()
    replica.clock.advance(1.0)
    assert replica.states(breaker="open", trial=None) == ["open", "closed"]


def test_a_backend_has_its_own_number_of_failures_and_with_none_it_is_never_left_alone(replica: Replica) -> None:
    for _ in range(9):
        replica.breakers.note(Attempt("a", "timeout", 1.0), 0)
    replica.breakers.note(Attempt("b", "timeout", 1.0), 1)
    assert replica.states() == ["closed", "open"]
