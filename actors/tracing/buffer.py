"""What still waits to be reported? A bounded queue that never makes its writer wait and counts what it drops."""

from collections import deque
from typing import Generic, TypeVar

Record = TypeVar("Record")


class TelemetryBuffer(Generic[Record]):
    """Records on their way out. When it is full the *new* record is dropped: the oldest explain how it came to that."""

    __slots__ = ("_dropped", "_records", "capacity")

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a buffer needs room for at least one record, not {capacity}")
        self.capacity = capacity
        self._records: deque[Record] = deque()
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def dropped(self) -> int:
        """How many records were dropped and not yet taken note of."""
        return self._dropped

    def put(self, record: Record) -> bool:
        """Keeps the record; false if there was no room and it is lost."""
        if len(self._records) >= self.capacity:
            self._dropped += 1
            return False
        self._records.append(record)
        return True

    def take(self, max_records: int | None = None) -> tuple[list[Record], int]:
        """Removes up to `max_records` (or all), oldest first; also how many were dropped since the last time."""
        count = len(self._records) if max_records is None else min(max_records, len(self._records))
        dropped, self._dropped = self._dropped, 0
        return [self._records.popleft() for _ in range(count)], dropped
