"""In which row of a table is which of the last records? Bundles of records, the oldest of which are forgotten."""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from actors.protocol.columns import ids_in, read
from actors.protocol.messages import DecisionRecord
from actors.tracing.bundle import Bundle, record_in

PRUNE_EVERY: Final = 1_000


class Shelf:
    """One table of bundles, of which the last `kept` records can be found.

    What changes the table is to be called within the caller's transaction; errors are those of sqlite3.
    """

    def __init__(self, connection: sqlite3.Connection, table: str, kept: int) -> None:
        """Makes the table unless it is there. Raises `ValueError` where a row is no bundle."""
        self._connection = connection
        self._table = table
        self._kept = kept
        self._since_pruning = 0
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (seq INTEGER PRIMARY KEY, records BLOB NOT NULL)")
        self._row_of: OrderedDict[str, int] = OrderedDict()
        for row, records in self._rows():
            self._row_of.update(dict.fromkeys(ids_in(records), row))
        self._forget_oldest()

    def insert(self, bundles: Sequence[Bundle]) -> list[int]:
        """Adds a row for each; they can be found once they are `placed`."""
        insert = f"INSERT INTO {self._table} (records) VALUES (?)"  # the name is ours
        return [self._connection.execute(insert, (bundle.content,)).lastrowid or 0 for bundle in bundles]

    def placed(self, bundles: Sequence[Bundle], rows: Sequence[int]) -> None:
        """To be told of bundles that are committed in those rows."""
        for bundle, row in zip(bundles, rows, strict=True):
            self._row_of.update(dict.fromkeys(bundle.ids, row))
            self._since_pruning += len(bundle.ids)
        self._forget_oldest()

    def prune(self) -> int | None:
        """Now and then removes rows in which nothing can be found any more; the first that was left, if it did."""
        if self._since_pruning < PRUNE_EVERY:
            return None
        self._since_pruning = 0
        oldest = next(iter(self._row_of.values()), 0)
        self._connection.execute(f"DELETE FROM {self._table} WHERE seq < ?", (oldest,))
        return oldest

    def find(self, request_id: str) -> DecisionRecord | None:
        """One of the last records, `None` where it is unknown."""
        row = self._row_of.get(request_id)
        if row is None:
            return None
        select = f"SELECT records FROM {self._table} WHERE seq = ?"
        (records,) = self._connection.execute(select, (row,)).fetchone()
        return record_in(records, request_id)

    def __iter__(self) -> Iterator[DecisionRecord]:
        """The last records, the oldest first."""
        for _, records in self._rows():
            for record in read(records):
                if record.request_id in self._row_of:
                    yield record

    def _rows(self) -> list[tuple[int, bytes]]:
        select = f"SELECT seq, records FROM {self._table} ORDER BY seq"
        return self._connection.execute(select).fetchall()

    def _forget_oldest(self) -> None:
        while len(self._row_of) > self._kept:
            self._row_of.popitem(last=False)
