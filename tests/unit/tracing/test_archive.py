import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.protocol.errors import TracerError
from actors.protocol.outlook import Outlook
from actors.tracing.archive import Archive
from actors.tracing.usage import Account, Consumption

ACCOUNT = Account("2026-11-23", "team", "ann")
FIRST = ("replica", 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "traces.db"


@pytest.fixture
def archive(path: Path) -> Iterator[Archive]:
    archive = Archive(path, kept=1_000)
    yield archive
    archive.close()


def test_what_was_committed_is_there_for_the_next_process_without_a_farewell(archive: Archive, path: Path) -> None:
    archive.commit([("r1", {"model": "team"})], {ACCOUNT: Consumption(2, 1, cost_usd=0.1)}, ("replica", 3))
    archive.save("sums", 1.0, {"count": 7})

    later = Archive(path)

    assert (later.decision("r1"), later.decision("r2")) == ({"model": "team"}, None)
    assert (later.has_counted("replica", 3), later.has_counted("replica", 4)) == (True, False)
    assert not later.has_counted("another", 1)
    assert dict(later.usage()) == {ACCOUNT: Consumption(2, 1, cost_usd=0.1)}
    assert later.saved("sums") == {"count": 7}
    later.close()


def test_only_the_last_decisions_are_kept(archive: Archive) -> None:
    archive.commit([(f"r{number}", {"n": number}) for number in range(2_500)], {}, FIRST)

    assert (archive.decision("r1499"), archive.decision("r1500")) == (None, {"n": 1500})


def test_a_file_that_is_none_of_ours_is_refused_in_our_words(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all, but long enough to be looked at" * 40)

    with pytest.raises(TracerError, match="cannot be used"):
        Archive(path)


def test_a_failed_commit_changes_nothing(archive: Archive, path: Path) -> None:
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("DROP TABLE usage")

    with pytest.raises(TracerError):
        archive.commit([("r1", {})], {ACCOUNT: Consumption(1)}, FIRST)

    assert not archive.has_counted(*FIRST)
    assert archive.decision("r1") is None
    blocker.close()


def test_a_file_whose_pages_broke_is_refused_in_our_words(path: Path) -> None:
    archive = Archive(path)
    archive.commit([(f"r{number}", {"text": "x" * 100}) for number in range(500)], {}, FIRST)
    archive.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))

    with pytest.raises(TracerError, match="cannot be used"):
        Archive(path)


def test_outlooks_live_as_long_as_the_decisions_that_rest_on_them(archive: Archive) -> None:
    for version in (1, 2, 3, 4):
        content = b'{"version": %d, "prospects": {}, "leaves": {}, "trust": {}}' % version
        archive.commit(
            [(f"r{version}.{number}", {}) for number in range(1_000)], {}, ("replica", version), {version: content}
        )

    assert [archive.outlook(version) for version in (1, 2)] == [None, Outlook(2)]
    assert archive.outlook(99) == Outlook(4)
