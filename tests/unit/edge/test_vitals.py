"""What does an actor say of its own process?"""

import os

from actors.edge.vitals import Vitals
from actors.protocol.errors import BackendTimeout
from actors.resilience.error_handler import error_aggregator


def test_a_pulse_is_that_of_this_process() -> None:
    pulse = Vitals("a").pulse(calls=3.0)

    assert (pulse.name, pulse.pid, pulse.healthy, pulse.gauges) == ("a", os.getpid(), True, {"calls": 3.0})


def test_a_pulse_tells_how_many_errors_the_process_has_counted() -> None:
    before = Vitals("a").pulse().errors

    error_aggregator.record(BackendTimeout("late", "b"), "backend", "call")

    assert Vitals("a").pulse().errors == before + 1
