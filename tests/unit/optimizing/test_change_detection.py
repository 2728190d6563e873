from actors.optimizing.change_detection import ChangeDetector


def test_a_fall_is_noticed_and_dated() -> None:
    detector = ChangeDetector()

    # Each adds 0.6 - 0.1: the sum passes 12 with the 25th.
    ages = [detector.changed_since(-0.6) for _ in range(25)]

    assert ages == [None] * 24 + [25]


def test_after_an_alarm_it_begins_anew() -> None:
    detector = ChangeDetector()

    alarms = [n for n in range(50) if detector.changed_since(0.6)]

    assert alarms == [24, 49]


def test_surprises_that_cancel_each_other_are_no_change() -> None:
    detector = ChangeDetector()

    assert not any(detector.changed_since(surprise) for surprise in [0.5, -0.5] * 500)
