"""Who used how much of which model on which day? Requests, tokens and cost, within bounds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from actors.protocol.messages import DecisionRecord, JsonObject
from actors.tracing.aggregates import OTHER

MAX_ROWS_PER_DAY: Final = 10_000
ANONYMOUS: Final = ""
S_PER_DAY: Final = 86_400


class Account(NamedTuple):
    """What is billed together. `day` is YYYY-MM-DD in UTC; `key` names the API key, "" where none are configured."""

    day: str
    model: str
    key: str


@dataclass(slots=True)
class Consumption:
    """What one account used. `estimated`, `unpriced`: requests with uncounted tokens, without a price.

    `cached`: requests that were answered from the cache; `saved_usd`: what their answers had cost at first.
    """

    requests: int = 0
    failed: int = 0
    estimated: int = 0
    unpriced: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    saved_usd: float = 0.0

    def add(self, other: "Consumption") -> None:
        """Adds what the other one counted."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def count(self, request: DecisionRecord) -> None:
        """Adds what one request used, whatever became of it."""
        usage = request.usage
        self.requests += 1
        self.failed += request.outcome not in ("ok", "cancelled")
        if usage is not None:
            self.estimated += usage.estimated
            self.unpriced += request.cost_usd is None
            self.prompt_tokens += usage.prompt_tokens
            self.completion_tokens += usage.completion_tokens
        self.cost_usd += request.cost_usd or 0.0
        if request.saved_usd is not None:
            self.cached += 1
            self.saved_usd += request.saved_usd

    def as_json(self) -> JsonObject:
        """For reports; the cost is rounded to a billionth of a dollar."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "cost_usd": round(self.cost_usd, 9),
            "saved_usd": round(self.saved_usd, 9),
        }


def day_of(moment_s: float) -> str:
    """The day of a moment (seconds since 1970) in UTC, as YYYY-MM-DD."""
    return _day(int(moment_s // S_PER_DAY))


@lru_cache(maxsize=16)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * S_PER_DAY, UTC).date().isoformat()


class UsageBook:
    """Sums per account. Of one day at most `max_rows_per_day` accounts are told apart; the rest is `other`."""

    def __init__(
        self, rows: Iterable[tuple[Account, Consumption]] = (), max_rows_per_day: int = MAX_ROWS_PER_DAY
    ) -> None:
        self._days: dict[str, dict[Account, Consumption]] = {}
        self._max_rows = max_rows_per_day
        for account, consumption in rows:
            self._days.setdefault(account.day, {})[account] = consumption

    def merge(self, account: Account, used: Consumption) -> Account:
        """Bills what was summed up elsewhere; the account that it was put on."""
        account = self._open(account)
        self[account].add(used)
        return account

    def _open(self, account: Account) -> Account:
        rows = self._days.setdefault(account.day, {})
        if account not in rows:
            if len(rows) >= self._max_rows:
                account = Account(account.day, OTHER, OTHER)
            rows.setdefault(account, Consumption())
        return account

    def accounts(self) -> dict[Account, Consumption]:
        """Every account with its sums."""
        return dict(self._rows())

    def __getitem__(self, account: Account) -> Consumption:
        return self._days[account.day][account]

    def spent_usd(self, day: str, *, key: str | None = None, model: str | None = None) -> float:
        """What a day's requests of a key, to a model, or both, have cost."""
        return sum(
            consumption.cost_usd
            for account, consumption in self._days.get(day, {}).items()
            if key in (None, account.key) and model in (None, account.model)
        )

    def report(self, day: str | None = None) -> JsonObject:
        """`total`, and the same by `models`, `keys` and `days`; of one day if given. Rows are in alphabetical order."""
        rows = [(account, used) for account, used in self._rows() if day in (None, account.day)]
        return {
            "total": _sum(used for _, used in rows).as_json(),
            "models": _grouped("model", ((account.model, used) for account, used in rows)),
            "keys": _grouped("key", ((account.key, used) for account, used in rows)),
            "days": _grouped("day", ((account.day, used) for account, used in rows)),
        }

    def savings(self) -> JsonObject:
        """How many of all requests were answered from a cache, and what those answers had cost at first."""
        total = _sum(used for _, used in self._rows())
        share_01 = total.cached / total.requests if total.requests else 0.0
        return {"hits": total.cached, "share_01": round(share_01, 5), "saved_usd": round(total.saved_usd, 9)}

    def rows(self, day: str) -> Iterator[tuple[Account, Consumption]]:
        """The accounts of one day."""
        yield from self._days.get(day, {}).items()

    def _rows(self) -> Iterator[tuple[Account, Consumption]]:
        for rows in self._days.values():
            yield from rows.items()


def _sum(parts: Iterable[Consumption]) -> Consumption:
    whole = Consumption()
    for part in parts:
        whole.add(part)
    return whole


def _grouped(name: str, rows: Iterable[tuple[str, Consumption]]) -> list[JsonObject]:
    groups: dict[str, Consumption] = {}
    for value, used in rows:
        groups.setdefault(value, Consumption()).add(used)
    return [{name: value} | groups[value].as_json() for value in sorted(groups)]
