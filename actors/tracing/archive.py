"""What does the tracer still know after a restart? Usage, the last decisions and the sums, in one SQLite file."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import orjson

from actors.protocol.errors import TracerError
from actors.protocol.messages import DecisionRecord, JsonObject
from actors.protocol.outlook import Outlook
from actors.tracing.aggregates import Slice
from actors.tracing.bundle import Bundle
from actors.tracing.outlooks import outlook_from
from actors.tracing.shelf import Shelf
from actors.tracing.usage import Account, Consumption

DECISIONS_KEPT: Final = 10_000
REMARKABLE_KEPT: Final = 10_000
VERSION: Final = 5
NO_OUTLOOKS: Final[Mapping[int, bytes]] = {}

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS usage (
        day TEXT NOT NULL, model TEXT NOT NULL, key TEXT NOT NULL,
        requests INTEGER NOT NULL, failed INTEGER NOT NULL, estimated INTEGER NOT NULL, unpriced INTEGER NOT NULL,
        cached INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
        cost_usd REAL NOT NULL,
        saved_usd REAL NOT NULL,
        PRIMARY KEY (day, model, key)
    ) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS senders (name TEXT PRIMARY KEY, number INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS outlooks (version INTEGER PRIMARY KEY, seq INTEGER NOT NULL, content BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS snapshots (name TEXT PRIMARY KEY, saved_at_s REAL NOT NULL, content TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS unsaved (seq INTEGER PRIMARY KEY, content BLOB NOT NULL)",  # since the snapshots
    """CREATE TABLE IF NOT EXISTS slices (
        length_s REAL NOT NULL, number INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY (length_s, number)
    ) WITHOUT ROWID""",
)

# The last one before the oldest batch stays: as long as nothing changes, later batches rest on it as well.
_FORGET_OUTLOOKS: Final = "DELETE FROM outlooks WHERE version < (SELECT max(version) FROM outlooks WHERE seq < ?)"

_FORGET_SENDERS: Final = (
    "DELETE FROM senders WHERE rowid NOT IN (SELECT rowid FROM senders ORDER BY rowid DESC LIMIT 1000)"
)


class Archive:
    """The file, open, for one thread. What is committed survives a kill of the process, not a power cut's last moment.

    All methods raise `TracerError` when the file cannot be used, and have then changed nothing.
    """

    def __init__(self, path: Path | None = None, kept: int = DECISIONS_KEPT) -> None:
        """Opens or creates the file; without a path everything is kept in memory only."""
        self._connection = _connected(path)
        try:
            self._prepare()
            self._latest = Shelf(self._connection, "batches", kept)
            self._remarkable = Shelf(self._connection, "remarkable", REMARKABLE_KEPT)
            self._connection.execute(_FORGET_SENDERS)
            self._counted: dict[str, int] = dict(self._connection.execute("SELECT name, number FROM senders"))
        except (ValueError, sqlite3.Error) as error:
            self._connection.close()
            raise _unusable(path, error) from None

    def close(self) -> None:
        """Safe to call twice."""
        self._connection.close()

    def has_counted(self, sender: str, number: int) -> bool:
        """Whether that batch of a sender is here: one that was not acknowledged is sent again."""
        return number <= self._counted.get(sender, 0)

    def commit(
        self,
        bundles: Sequence[Bundle],
        accounts: Mapping[Account, Consumption],
        told: tuple[str, int],
        outlooks: Mapping[int, bytes] = NO_OUTLOOKS,
        counted: bytes = b"",
        remarkable: Sequence[Bundle] = (),
    ) -> None:
        """Writes records of requests, their accounts' new sums, and whose batch of which number it was, together.

        `outlooks`: what their routing tables let one expect, by version, unless that is here. `counted`: what the batch
        adds to sums that are saved from time to time, for `unsaved`. `remarkable`: those of the records that are kept
        for longer. A bundle is one row: a row for each request would cost more than all the rest of what the tracer
        does with it.
        """
        execute, execute_many = self._connection.execute, self._connection.executemany
        try:
            execute("BEGIN IMMEDIATE")
            execute("INSERT OR REPLACE INTO senders VALUES (?, ?)", told)
            rows, remarkable_rows = self._latest.insert(bundles), self._remarkable.insert(remarkable)
            execute_many(
                "INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (*account, *(getattr(used, name) for name in Consumption.__slots__))
                    for account, used in accounts.items()
                ],
            )
            if counted:
                execute("INSERT INTO unsaved (content) VALUES (?)", (counted,))
            first = min(rows, default=0)
            execute_many(
                "INSERT OR IGNORE INTO outlooks VALUES (?, ?, ?)",
                [(version, first, content) for version, content in outlooks.items()],
            )
            oldest = self._latest.prune()
            if oldest is not None:
                execute(_FORGET_OUTLOOKS, (oldest,))
            self._remarkable.prune()
            execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise TracerError(f"The tracer's file cannot be written ({error}).") from None
        self._counted[told[0]] = told[1]
        self._latest.placed(bundles, rows)
        self._remarkable.placed(remarkable, remarkable_rows)

    def decision(self, request_id: str) -> DecisionRecord | None:
        """The record of one of the last requests, or of the last remarkable ones; `None` where it is unknown."""
        return self._latest.find(request_id) or self._remarkable.find(request_id)

    def remarkable(self) -> Iterator[DecisionRecord]:
        """The last remarkable records, the oldest first."""
        yield from self._remarkable

    def outlook(self, table_version: int) -> Outlook | None:
        """The last one that was written up to a version of the routing table."""
        last = "SELECT content FROM outlooks WHERE version <= ? ORDER BY version DESC LIMIT 1"
        row = self._connection.execute(last, (table_version,)).fetchone()
        return None if row is None else outlook_from(row[0])

    def usage(self) -> Iterable[tuple[Account, Consumption]]:
        """Every account with its sums."""
        for row in self._connection.execute("SELECT * FROM usage"):
            yield Account(*row[:3]), Consumption(*row[3:])

    def save_sums(
        self, saved_at_s: float, snapshots: Mapping[str, JsonObject], slices: Mapping[Slice, bytes], oldest_s: float
    ) -> None:
        """Keeps snapshots and slices in place of those of the same names; forgets what is `unsaved`, and the slices
        that had ended at the moment `oldest_s`."""
        execute, execute_many = self._connection.execute, self._connection.executemany
        try:
            execute("BEGIN IMMEDIATE")
            execute_many(
                "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)",
                [(name, saved_at_s, orjson.dumps(content).decode()) for name, content in snapshots.items()],
            )
            execute_many(
                "INSERT OR REPLACE INTO slices VALUES (?, ?, ?)",
                [(*slice_, content) for slice_, content in slices.items()],
            )
            execute("DELETE FROM slices WHERE (number + 1) * length_s <= ?", (oldest_s,))
            execute("DELETE FROM unsaved")
            execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise TracerError(f"The tracer's file cannot be written ({error}).") from None

    def unsaved(self) -> Iterator[bytes]:
        """What was counted since the sums were saved, the oldest first."""
        for (content,) in self._connection.execute("SELECT content FROM unsaved ORDER BY seq"):
            yield content

    def slices(self) -> Iterator[tuple[Slice, bytes]]:
        """The slices that are kept, the oldest first."""
        for length_s, number, content in self._connection.execute("SELECT * FROM slices ORDER BY length_s, number"):
            yield Slice(length_s, number), content

    def saved(self, name: str) -> JsonObject | None:
        """The snapshot of that name, if there is one."""
        row = self._connection.execute("SELECT content FROM snapshots WHERE name = ?", (name,)).fetchone()
        found: JsonObject | None = None if row is None else orjson.loads(row[0])
        return found

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise sqlite3.DatabaseError(f"it is of version {version}, which only a later release can read")
        if self._connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("it is corrupt")
        if version < VERSION:  # records of former releases read otherwise: nobody can have them explained any more
            self._connection.execute("DROP TABLE IF EXISTS batches")
            self._connection.execute("DROP TABLE IF EXISTS remarkable")
        for statement in _SCHEMA:
            self._connection.execute(statement)
        self._connection.execute(f"PRAGMA user_version = {VERSION}")

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _connected(path: Path | None) -> sqlite3.Connection:
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(
            ":memory:" if path is None else path, timeout=5.0, isolation_level=None, check_same_thread=False
        )
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from None


def _unusable(path: Path | None, error: Exception) -> TracerError:
    return TracerError(f"The tracer's file {path} cannot be used ({error}).")
