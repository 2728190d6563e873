import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from actors.protocol.errors import TracerError
from actors.protocol.messages import DecisionRecord
from actors.protocol.outlook import Outlook
from actors.tracing.archive import VERSION, Archive
from actors.tracing.bundle import Bundle, bundle_of
from actors.tracing.usage import Account, Consumption

ACCOUNT = Account("2026-11-23", "team", "ann")
FIRST = ("replica", 1)


def decided(*names: str) -> Bundle:
    return bundle_of([DecisionRecord(name, 0.0, "team", "single", "b", "ok", 200, 1.0, 0.1, False) for name in names])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "traces.db"


@pytest.fixture
def archive(path: Path) -> Iterator[Archive]:
    archive = Archive(path, kept=1_000)
    yield archive
    archive.close()


def test_what_was_committed_is_there_for_the_next_process_without_a_farewell(archive: Archive, path: Path) -> None:
    archive.commit([decided("r1"), decided("r2")], {ACCOUNT: Consumption(2, 1, cost_usd=0.1)}, ("replica", 3))
    archive.save_sums(1.0, {"sums": {"count": 7}}, {}, 0.0)

    later = Archive(path)

    found = [later.decision(name) for name in ("r1", "r2", "r3")]
    assert [record and (record.request_id, record.model) for record in found] == [("r1", "team"), ("r2", "team"), None]
    assert (later.has_counted("replica", 3), later.has_counted("replica", 4)) == (True, False)
    assert not later.has_counted("another", 1)
    assert dict(later.usage()) == {ACCOUNT: Consumption(2, 1, cost_usd=0.1)}
    assert later.saved("sums") == {"count": 7}
    later.close()


def test_only_the_last_decisions_are_kept(archive: Archive) -> None:
    archive.commit([decided(*(f"r{number}" for number in range(n, n + 100))) for n in range(0, 2_500, 100)], {}, FIRST)

    assert archive.decision("r1499") is None
    assert archive.decision("r1500") is not None


def test_rows_that_nobody_can_ask_for_any_more_are_removed(archive: Archive, path: Path) -> None:
    for number in range(40):
        archive.commit([decided(*(f"r{number}.{n}" for n in range(100)))], {}, ("replica", number))

    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT count(*) FROM batches").fetchone()[0] <= 20


def test_records_of_a_former_release_are_forgotten_and_its_bill_is_not(archive: Archive, path: Path) -> None:
    archive.commit([decided("r1")], {ACCOUNT: Consumption(1)}, FIRST)
    archive.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as former:
        former.execute(f"PRAGMA user_version = {VERSION - 1}")

    later = Archive(path)

    assert later.decision("r1") is None
    assert dict(later.usage()) == {ACCOUNT: Consumption(1)}
    later.close()


def test_a_file_that_is_none_of_ours_is_refused_in_our_words(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all, but long enough to be looked at" * 40)

    with pytest.raises(TracerError, match="cannot be used"):
        Archive(path)


def test_a_failed_commit_changes_nothing(archive: Archive, path: Path) -> None:
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("DROP TABLE usage")

    with pytest.raises(TracerError):
        archive.commit([decided("r1")], {ACCOUNT: Consumption(1)}, FIRST)

    assert not archive.has_counted(*FIRST)
    assert archive.decision("r1") is None
    blocker.close()


def test_a_file_whose_pages_broke_is_refused_in_our_words(path: Path) -> None:
    archive = Archive(path)
    archive.commit([decided(*(f"r{number}" for number in range(500)))], {}, FIRST)
    archive.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))

    with pytest.raises(TracerError, match="cannot be used"):
        Archive(path)


def test_a_file_with_a_record_that_broke_is_refused_in_our_words(archive: Archive, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("INSERT INTO batches (records) VALUES (?)", (b"no record",))

    with pytest.raises(TracerError, match="cannot be used"):
        Archive(path)


def test_outlooks_live_as_long_as_the_decisions_that_rest_on_them(archive: Archive) -> None:
    for version in (1, 2, 3, 4):
        content = b'{"version": %d, "prospects": {}, "leaves": {}, "trust": {}}' % version
        names = [f"r{version}.{number}" for number in range(1_000)]
        archive.commit([decided(*names)], {}, ("replica", version), {version: content})

    assert [archive.outlook(version) for version in (1, 2)] == [None, Outlook(2)]
    assert archive.outlook(99) == Outlook(4)
