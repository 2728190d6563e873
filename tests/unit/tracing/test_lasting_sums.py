"""Do the report's sums outlive a process that is killed at any moment?"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from actors.protocol.clock import ManualClock
from actors.protocol.messages import Usage
from actors.tracing.aggregates import Key, Tally
from actors.tracing.archive import Archive
from actors.tracing.lasting_sums import LastingSums

CALL = Key("backend", "call", "a")
_numbers = itertools.count(1)


class Life:
    """A tracer's sums from its start until it is killed; nothing is said in farewell."""

    files: ClassVar[list[Archive]] = []

    def __init__(self, path: Path, clock: ManualClock) -> None:
        self.archive = Archive(path)
        self.files.append(self.archive)
        self.sums = LastingSums(self.archive, clock)

    def count(self, *durations_ms: float) -> None:
        tally = Tally()
        for duration_ms in durations_ms:
            tally.note("ok", duration_ms, usage=Usage(10, 5), cost_usd=0.25)
        self.archive.commit([], {}, ("one", next(_numbers)), counted=self.sums.written({CALL: tally}))
        self.sums.aggregates.merge({CALL: tally})

    @property
    def windows(self) -> dict[str, int]:
        return {name: tally.count for name, tally in self.sums.aggregates.windows(CALL)}


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "traces.db"
    while Life.files:
        Life.files.pop().close()


def test_a_kill_loses_nothing_whether_it_was_saved_or_not(path: Path) -> None:
    clock = ManualClock()
    first = Life(path, clock)
    first.count(1.0, 20.0)
    first.sums.save(clock.wall_s(), {})
    first.count(300.0)

    total = Life(path, clock).sums.aggregates.total(CALL)

    assert (total.count, total.cost_usd, total.completion_tokens) == (3, 0.75, 15)
    assert (total.latency.min_ms, total.latency.max_ms) == (1.0, 300.0)


def test_the_windows_go_on_as_well(path: Path) -> None:
    clock = ManualClock()
    first = Life(path, clock)
    first.count(1.0)
    clock.advance(900.0)
    first.count(1.0, 1.0)
    first.sums.save(clock.wall_s(), {})
    clock.advance(200.0)
    first.count(1.0, 1.0, 1.0)

    assert Life(path, clock).windows == first.windows == {"1m": 3, "10m": 5, "1h": 6}


def test_what_happened_before_a_long_pause_is_in_no_window(path: Path) -> None:
    first = Life(path, ManualClock())
    first.count(1.0)
    first.sums.save(1_700_000_000.0, {})

    later = Life(path, ManualClock(epoch_s=1_700_004_000.0))

    assert later.windows == {"1m": 0, "10m": 0, "1h": 0}
    assert later.sums.aggregates.total(CALL).count == 1


def test_many_lives_count_each_thing_once(path: Path) -> None:
    clock = ManualClock()
    for number in range(5):
        life = Life(path, clock)
        life.count(1.0)
        if number % 2:
            life.sums.save(clock.wall_s(), {})
        clock.advance(7.0)

    last = Life(path, clock)

    assert (last.sums.aggregates.total(CALL).count, last.windows["1m"], last.windows["1h"]) == (5, 5, 5)


def test_the_file_keeps_no_more_than_the_longest_window(path: Path) -> None:
    clock = ManualClock()
    life = Life(path, clock)
    for _ in range(100):
        life.count(1.0)
        life.sums.save(clock.wall_s(), {})
        clock.advance(300.0)

    assert len(list(life.archive.slices())) < 30
    assert list(life.archive.unsaved()) == []


def test_since_when_it_counts_is_remembered(path: Path) -> None:
    clock = ManualClock()
    first = Life(path, clock)
    first.sums.save(clock.wall_s(), {})
    clock.advance(60.0)

    assert Life(path, clock).sums.started_at_s == 1_700_000_000.0
