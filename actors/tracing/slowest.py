"""Which were the slowest? A few of them, at most one of each name."""

from collections.abc import Hashable
from typing import Final

from actors.protocol.messages import JsonObject

SLOWEST_KEPT: Final = 10


class Slowest:
    """The slowest of everything that was noted, by its `duration_ms`; of what has the same name, the slowest."""

    def __init__(self, kept: int = SLOWEST_KEPT) -> None:
        self._kept = kept
        self._by_name: dict[Hashable, JsonObject] = {}
        self._least_ms = 0.0

    def takes(self, duration_ms: float) -> bool:
        """Whether one of that duration may be among them."""
        return len(self._by_name) < self._kept or duration_ms > self._least_ms

    def note(self, name: Hashable, told: JsonObject) -> None:
        """Takes note of one."""
        known = self._by_name.get(name)
        if known is None or told["duration_ms"] > known["duration_ms"]:
            self._by_name[name] = told
        if len(self._by_name) > self._kept:
            del self._by_name[min(self._by_name, key=lambda each: self._by_name[each]["duration_ms"])]
        self._least_ms = min(one["duration_ms"] for one in self._by_name.values())

    def report(self) -> list[JsonObject]:
        """The slowest first."""
        return sorted(self._by_name.values(), key=lambda told: -told["duration_ms"])
