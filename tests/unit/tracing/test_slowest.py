from actors.tracing.slowest import Slowest


def noted(slowest: Slowest, *durations: tuple[str, float]) -> list[tuple[str, float]]:
    for name, duration_ms in durations:
        slowest.note(name, {"name": name, "duration_ms": duration_ms})
    return [(one["name"], one["duration_ms"]) for one in slowest.report()]


def test_the_slowest_come_first_and_the_quickest_go() -> None:
    assert noted(Slowest(kept=2), ("a", 1.0), ("b", 3.0), ("c", 2.0)) == [("b", 3.0), ("c", 2.0)]


def test_one_that_is_often_slow_does_not_drive_out_the_others() -> None:
    assert noted(Slowest(kept=2), ("a", 9.0), ("b", 1.0), ("a", 8.0), ("a", 10.0)) == [("a", 10.0), ("b", 1.0)]


def test_one_that_was_forgotten_comes_back_when_it_is_slow_enough() -> None:
    assert noted(Slowest(kept=1), ("a", 1.0), ("b", 2.0), ("a", 3.0)) == [("a", 3.0)]


def test_it_says_beforehand_what_it_would_not_take() -> None:
    slowest = Slowest(kept=1)
    assert slowest.takes(0.0)
    slowest.note("a", {"duration_ms": 2.0})

    assert (slowest.takes(1.0), slowest.takes(3.0)) == (False, True)
