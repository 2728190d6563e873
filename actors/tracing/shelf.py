"""In which row of a table is which of the last records? Bundles of records, the oldest of which are forgotten."""

import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import orjson

from actors.protocol.columns import ids_in, read
from actors.protocol.messages import DecisionRecord
from actors.tracing.bundle import Bundle, record_in

PRUNE_EVERY: Final = 1_000


class Shelf:
    """One table of bundles: those that hold the last `kept` records.

    Which bundle a record is in is looked for when somebody asks: thousands come where one is asked for. What changes
    the table is to be called within the caller's transaction; errors are those of sqlite3.
    """

    def __init__(self, connection: sqlite3.Connection, table: str, kept: int) -> None:
        """Makes the table unless it is there. Raises `ValueError` where a row is no bundle."""
        self._connection = connection
        self._table = table
        self._kept = kept
        self._since_pruning = 0
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (seq INTEGER PRIMARY KEY, records BLOB NOT NULL)")
        self._rows = deque((row, len(ids_in(records))) for row, records in self._contents())
        self._count = sum(count for _, count in self._rows)
        self._forget_oldest()

    def insert(self, bundles: Sequence[Bundle]) -> list[int]:
        """Adds a row for each; they count as soon as they are `placed`."""
        insert = f"INSERT INTO {self._table} (records) VALUES (?)"  # the name is ours
        return [self._connection.execute(insert, (bundle.content,)).lastrowid or 0 for bundle in bundles]

    def placed(self, bundles: Sequence[Bundle], rows: Sequence[int]) -> None:
        """To be told of bundles that are committed in those rows."""
        for bundle, row in zip(bundles, rows, strict=True):
            self._rows.append((row, bundle.count))
            self._count += bundle.count
            self._since_pruning += bundle.count
        self._forget_oldest()

    def prune(self) -> int | None:
        """Now and then removes rows that hold none of the last records; the first that was left, if it did."""
        if self._since_pruning < PRUNE_EVERY:
            return None
        self._since_pruning = 0
        oldest = self._rows[0][0] if self._rows else 0
        self._connection.execute(f"DELETE FROM {self._table} WHERE seq < ?", (oldest,))
        return oldest

    def find(self, request_id: str) -> DecisionRecord | None:
        """One of the last records, `None` where it is unknown."""
        if not self._rows or not request_id.isascii():
            return None
        select = f"SELECT records FROM {self._table} WHERE seq >= ? AND instr(records, ?) ORDER BY seq DESC"
        for (records,) in self._connection.execute(select, (self._rows[0][0], orjson.dumps(request_id))):
            found = record_in(records, request_id)
            if found is not None:  # else something else in there is called so
                return found
        return None

    def __iter__(self) -> Iterator[DecisionRecord]:
        """The last records, the oldest first."""
        for _, records in self._contents():
            yield from read(records)

    def _contents(self) -> list[tuple[int, bytes]]:
        select = f"SELECT seq, records FROM {self._table} ORDER BY seq"
        return self._connection.execute(select).fetchall()

    def _forget_oldest(self) -> None:
        while self._rows and self._count - self._rows[0][1] >= self._kept:
            self._count -= self._rows.popleft()[1]
