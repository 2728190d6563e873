"""How do the report's sums outlive their process, to the last request?

What is counted is written down at once, with the batch that told it. Every few seconds the sums are saved as they are,
and what led to them is forgotten. A tracer that was killed goes on from the last sums and what was counted since.
"""

import zlib
from collections.abc import Mapping
from typing import Final

import orjson

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.messages import JsonObject
from actors.tracing.aggregates import MAX_KEYS, RINGS, Aggregates, Key, Tally
from actors.tracing.archive import Archive
from actors.tracing.snapshot import rows_of, tallies_in

NAME: Final = "aggregates"
LONGEST_S: Final = max(length_s * (slices + 1) for length_s, slices in RINGS)


class LastingSums:
    """`Aggregates` that are in the archive as well. `started_at_s` is when their counting began (since 1970)."""

    def __init__(self, archive: Archive, clock: Clock = SYSTEM_CLOCK, max_keys: int = MAX_KEYS) -> None:
        """Goes on from what is in the archive."""
        self.aggregates = Aggregates(clock, max_keys)
        self.started_at_s = clock.wall_s()
        self._archive = archive
        self._unsaved_since_s = self.aggregates.now_s
        if saved := archive.saved(NAME):
            self.started_at_s = saved["started_at_s"]
            for key, tally in tallies_in(saved["totals"]).items():
                self.aggregates.restore(key, tally)
        for slice_, content in archive.slices():
            if slice_.ends_s > self.aggregates.now_s - LONGEST_S:
                for key, tally in tallies_in(orjson.loads(zlib.decompress(content))).items():
                    self.aggregates.restore_slice(slice_, key, tally)
        for content in archive.unsaved():
            at_s, rows = orjson.loads(content)
            self.aggregates.merge(tallies_in(rows), at_s)
            self._unsaved_since_s = min(self._unsaved_since_s, at_s)

    def written(self, tallies: Mapping[Key, Tally]) -> bytes:
        """What the archive has to commit before they may be added."""
        return orjson.dumps((self.aggregates.now_s, rows_of(tallies)))

    def save(self, saved_at_s: float, others: Mapping[str, JsonObject]) -> None:
        """Writes the sums, and other snapshots by name. Raises `TracerError`, and has then changed nothing."""
        now_s = self.aggregates.now_s
        sums = {"totals": rows_of(self.aggregates.totals()), "started_at_s": self.started_at_s}
        slices = {
            slice_: zlib.compress(orjson.dumps(rows_of(tallies)), 1)
            for slice_, tallies in self.aggregates.slices(self._unsaved_since_s).items()
        }
        self._archive.save_sums(saved_at_s, {NAME: sums, **others}, slices, now_s - LONGEST_S)
        self._unsaved_since_s = now_s
