"""Deadlines on a clock that moves only when told to."""

from actors.protocol.clock import Deadline, ManualClock


def test_time_left_shrinks_with_the_clock_and_never_goes_below_zero() -> None:
    clock = ManualClock()
    deadline = Deadline.after(10, clock)

    clock.advance(4)
    assert deadline.time_left_s() == 6

    clock.advance(100)
    assert deadline.time_left_s() == 0


def test_sooner_shortens_but_never_extends() -> None:
    deadline = Deadline.after(10, ManualClock())

    assert deadline.sooner(3).time_left_s() == 3
    assert deadline.sooner(30).time_left_s() == 10
