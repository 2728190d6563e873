"""Which outlook did a request's routing table give, and how does it outlive the process?"""

from bisect import bisect_right
from collections.abc import Collection, Mapping
from typing import Final

import orjson

from actors.protocol.outlook import Outlook, Prospect
from actors.protocol.trust import Trust

MOST_KEPT: Final = 600  # ten minutes of them: a stream may end that long after its table was replaced
PROSPECTS_KEPT: Final = 60_000


class Outlooks:
    """The latest outlooks, by version; fewer where each is large. Versions rise."""

    def __init__(self) -> None:
        self._versions: list[int] = []
        self._by_version: dict[int, Outlook] = {}
        self._written: set[int] = set()

    def note(self, outlook: Outlook) -> None:
        """Keeps it, unless a newer one is known; the oldest go."""
        if self._versions and outlook.version <= self._versions[-1]:
            return
        self._versions.append(outlook.version)
        self._by_version[outlook.version] = outlook
        most = max(2, min(MOST_KEPT, PROSPECTS_KEPT // max(1, len(outlook.prospects))))
        while len(self._versions) > most:
            oldest = self._versions.pop(0)
            del self._by_version[oldest]
            self._written.discard(oldest)

    def at(self, table_version: int) -> Outlook | None:
        """The last one up to a version of the routing table; `None` where only later ones are known."""
        place = bisect_right(self._versions, table_version)
        return self._by_version[self._versions[place - 1]] if place else None

    def unwritten(self, table_versions: Collection[int]) -> Mapping[int, bytes]:
        """What belongs to those versions of the table and was not yet `written`, as JSON."""
        found = {outlook.version: outlook for version in table_versions if (outlook := self.at(version)) is not None}
        return {version: orjson.dumps(found[version]) for version in found.keys() - self._written}

    def written(self, versions: Collection[int]) -> None:
        """To be told of what is kept elsewhere now."""
        self._written.update(versions)


def outlook_from(content: bytes) -> Outlook:
    """The outlook that `unwritten` gave as JSON."""
    told = orjson.loads(content)
    prospects = {
        name: Prospect(**{**one, "per_mtok_usd": one["per_mtok_usd"] and tuple(one["per_mtok_usd"])})
        for name, one in told["prospects"].items()
    }
    trust = {
        model: {task_type: Trust(**one) for task_type, one in by_type.items()}
        for model, by_type in told["trust"].items()
    }
    return Outlook(told["version"], prospects, told["leaves"], trust)
