"""Who used how much of which model on which day? Requests, tokens and cost, within bounds."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from actors.protocol.columns import Column
from actors.protocol.messages import JsonObject
from actors.tracing.aggregates import OTHER, known

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
        self.requests += other.requests
        self.failed += other.failed
        self.estimated += other.estimated
        self.unpriced += other.unpriced
        self.cached += other.cached
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.cost_usd += other.cost_usd
        self.saved_usd += other.saved_usd

    def count_all(
        self,
        outcomes: Column,
        costs_usd: Column,
        saved_usd: Column,
        prompt_tokens: Column,
        completion_tokens: Column,
        estimated: Column,
    ) -> None:
        """Adds what many requests used, whatever became of them: of each its place in all columns."""
        self.requests += len(outcomes)
        self.failed += sum(outcome not in ("ok", "cancelled") for outcome in outcomes)
        self.estimated += sum(known(estimated))
        if None in costs_usd:
            used = zip(prompt_tokens, costs_usd, strict=True)
            self.unpriced += sum(tokens is not None and cost is None for tokens, cost in used)
        self.prompt_tokens += sum(known(prompt_tokens))
        self.completion_tokens += sum(known(completion_tokens))
        self.cost_usd += sum(known(costs_usd))
        saved = known(saved_usd)
        self.cached += len(saved)
        self.saved_usd += sum(saved)

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


class Groups:
    """The same consumption in total, and by model, key and day."""

    def __init__(self, rows: Iterable[tuple[Account, Consumption]] = ()) -> None:
        self.total = Consumption()
        self.by_model: defaultdict[str, Consumption] = defaultdict(Consumption)
        self.by_key: defaultdict[str, Consumption] = defaultdict(Consumption)
        self._by_day: defaultdict[str, Consumption] = defaultdict(Consumption)
        for account, used in rows:
            self.add(account, used)

    def add(self, account: Account, used: Consumption) -> None:
        """Adds what one account used."""
        mine = (self.total, self.by_model[account.model], self.by_key[account.key], self._by_day[account.day])
        for consumption in mine:
            consumption.add(used)

    def as_json(self) -> JsonObject:
        """Rows are in alphabetical order."""
        return {
            "total": self.total.as_json(),
            "models": _rows("model", self.by_model),
            "keys": _rows("key", self.by_key),
            "days": _rows("day", self._by_day),
        }


class UsageBook:
    """Sums per account. Of one day at most `max_rows_per_day` accounts are told apart; beyond, each key has one row for
    all `other` models. Whatever is asked often costs the same after years.
    """

    def __init__(
        self, rows: Iterable[tuple[Account, Consumption]] = (), max_rows_per_day: int = MAX_ROWS_PER_DAY
    ) -> None:
        self._days: dict[str, dict[Account, Consumption]] = {}
        self._max_rows = max_rows_per_day
        self._whole = Groups()
        self._by_day: defaultdict[str, Groups] = defaultdict(Groups)
        for account, used in rows:
            self._days.setdefault(account.day, {})[account] = used
            self._whole.add(account, used)
        newest = max(self._days, default="")
        self._by_day[newest] = Groups(self.rows(newest))

    def merge(self, account: Account, used: Consumption) -> Account:
        """Bills what was summed up elsewhere; the account that it was put on."""
        self._by_day[account.day].add(account, used)  # by its own names: a budget holds beyond the bound as well
        account = self._open(account)
        self[account].add(used)
        self._whole.add(account, used)
        return account

    def _open(self, account: Account) -> Account:
        rows = self._days.setdefault(account.day, {})
        if account not in rows:
            if len(rows) >= self._max_rows:
                account = account._replace(model=OTHER)
            rows.setdefault(account, Consumption())
        return account

    def accounts(self) -> dict[Account, Consumption]:
        """Every account with its sums."""
        return {account: used for rows in self._days.values() for account, used in rows.items()}

    def __getitem__(self, account: Account) -> Consumption:
        return self._days[account.day][account]

    def spent_usd(self, day: str, *, key: str | None = None, model: str | None = None) -> float:
        """What a day's requests of a key, or to a model, have cost; known of the newest day."""
        spent = self._by_day.get(day)
        if spent is None:
            return 0.0
        used = spent.by_model.get(model or "") if key is None else spent.by_key.get(key)
        return 0.0 if used is None else used.cost_usd

    def report(self, day: str | None = None) -> JsonObject:
        """`total`, and the same by `models`, `keys` and `days`; of one day if given. Rows are in alphabetical order."""
        return (self._whole if day is None else Groups(self.rows(day))).as_json()

    def savings(self) -> JsonObject:
        """How many of all requests were answered from a cache, and what those answers had cost at first."""
        total = self._whole.total
        share_01 = total.cached / total.requests if total.requests else 0.0
        return {"hits": total.cached, "share_01": round(share_01, 5), "saved_usd": round(total.saved_usd, 9)}

    def rows(self, day: str) -> Iterator[tuple[Account, Consumption]]:
        """The accounts of one day."""
        yield from self._days.get(day, {}).items()


def _rows(name: str, groups: Mapping[str, Consumption]) -> list[JsonObject]:
    return [{name: value} | groups[value].as_json() for value in sorted(groups)]
