"""How does the journal lie in its file, and how does an older file become a newer one?"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

BUSY_TIMEOUT_S: Final = 5.0
SIDE_FILES: Final = ("-wal", "-shm")

# One tuple of statements per version; entry i brings a file from `user_version` i to i + 1. Entries are never edited.
MIGRATIONS: Final[Sequence[Sequence[str]]] = (
    (
        """CREATE TABLE outcomes (
            seq INTEGER PRIMARY KEY,
            request_id TEXT NOT NULL UNIQUE,
            finished_at_s REAL NOT NULL,
            task_type TEXT NOT NULL,
            backend TEXT NOT NULL,      -- '' where no backend answered
            strategy TEXT NOT NULL,
            pattern TEXT NOT NULL,
            record TEXT NOT NULL        -- JSON, without any prompt or answer
        )""",
        """CREATE TABLE totals (
            task_type TEXT NOT NULL,
            backend TEXT NOT NULL,
            strategy TEXT NOT NULL,
            pattern TEXT NOT NULL,
            count INTEGER NOT NULL DEFAULT 0,
            ok INTEGER NOT NULL DEFAULT 0,
            cancelled INTEGER NOT NULL DEFAULT 0,
            ok_latency_ms_sum REAL NOT NULL DEFAULT 0,
            cost_usd_sum REAL NOT NULL DEFAULT 0,
            correct INTEGER NOT NULL DEFAULT 0,
            incorrect INTEGER NOT NULL DEFAULT 0,
            scored INTEGER NOT NULL DEFAULT 0,
            score_01_sum REAL NOT NULL DEFAULT 0,
            PRIMARY KEY (task_type, backend, strategy, pattern)
        ) WITHOUT ROWID""",
        """CREATE TABLE feedback (
            seq INTEGER PRIMARY KEY,
            request_id TEXT NOT NULL,
            received_at_s REAL NOT NULL,
            correct INTEGER,
            score_01 REAL,
            preferred TEXT,
            gold TEXT,
            comment TEXT,
            task_type TEXT NOT NULL,
            backend TEXT NOT NULL,
            strategy TEXT NOT NULL,
            pattern TEXT NOT NULL,
            replaced INTEGER NOT NULL DEFAULT 0
        )""",
        "CREATE UNIQUE INDEX feedback_in_force ON feedback (request_id) WHERE replaced = 0",
    ),
    ("ALTER TABLE feedback ADD COLUMN ensemble TEXT NOT NULL DEFAULT ''",),  # which one merged the answer, if any
    (
        """CREATE TABLE trials (           -- answers to questions that were asked in two ways
            seq INTEGER PRIMARY KEY,
            at_s REAL NOT NULL,
            task_type TEXT NOT NULL,
            backend TEXT NOT NULL,
            pattern TEXT NOT NULL,
            reward_01 REAL NOT NULL,
            plain_01 REAL NOT NULL
        )""",
        "ALTER TABLE feedback ADD COLUMN gold_right INTEGER",  # what follows from the right answer, where that was told
        "ALTER TABLE feedback ADD COLUMN features TEXT NOT NULL DEFAULT ''",  # of the question, where they were seen
        "ALTER TABLE feedback ADD COLUMN propensity_01 REAL NOT NULL DEFAULT 1",
        "ALTER TABLE feedback ADD COLUMN predicted_01 REAL",
    ),
)

CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class NewerFile(Exception):
    """The file was written by a later version of this program."""


def connect(path: str) -> sqlite3.Connection:
    """A connection that commits to disk: after a commit, neither a kill nor a power cut loses anything.

    Transactions are begun and ended by hand. Another process that writes is waited for `BUSY_TIMEOUT_S`.
    """
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> int:
    """Brings the file to the newest version, in one transaction; the version that it had. Raises `NewerFile`."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > len(migrations):
            raise NewerFile(version)
        for statements in migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return version


def is_sound(connection: sqlite3.Connection) -> bool:
    """Whether the file's pages hang together."""
    verdict: tuple[str] = connection.execute("PRAGMA quick_check(1)").fetchone()
    return verdict[0] == "ok"


def is_corruption(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken, not merely locked, full or unreadable."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in CORRUPT


def set_aside(path: Path) -> Path:
    """Renames the file, and what SQLite keeps beside it, to the first free `.corrupt-<n>`."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    path.rename(aside)
    for ending in SIDE_FILES:
        side = path.with_name(path.name + ending)
        if side.exists():
            side.rename(aside.with_name(aside.name + ending))
    return aside
