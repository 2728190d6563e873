"""How is a backend's limit shared out among the replicas that call it?

One arithmetic serves calls at once, requests a minute and tokens a minute: shares are max-min fair over what each
holder lately wanted, and no share grows but by what nobody else may still use.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from actors.protocol.sending import Sendable

IDLE_PART_01 = 0.01  # of a limit, kept back by all replicas together that want nothing, so that they can begin at once


@dataclass(frozen=True, slots=True)
class Allowance(Sendable):
    """How much of a backend may be used: calls at once, and requests and tokens a minute (`None`: without limit)."""

    concurrency: int
    requests_per_min: float | None = None
    tokens_per_min: float | None = None


@dataclass(frozen=True, slots=True)
class Renewal(Sendable):
    """What a replica says when it asks for its share.

    `held`: the share that it keeps to now. `wanted`: the most calls that ran or waited at once since it last asked, and
    the requests and tokens a minute that callers ask of it.
    """

    holder: str
    held: Allowance
    in_flight: int
    wanted: Allowance


@dataclass(frozen=True, slots=True)
class Grant(Sendable):
    """What it is told. `is_final`: nothing more is on its way; `renew_in_s`: when to ask again."""

    share: Allowance
    renew_in_s: float
    is_final: bool


def fair_shares(limit: float, demands: Mapping[str, float], whole: bool = False, turn: int = 0) -> dict[str, float]:
    """The max-min fair share of each holder: at most its demand, together at most `limit`, all of it if it is wanted.

    `limit` and demands are at least 0. With `whole`, which needs a whole `limit`, shares are whole numbers where
    demands are; if there is less than one for each, `turn` decides who goes without, another each time.
    Source: Bertsekas and Gallager 1992, "Data Networks", section 6.5.2.
    """
    names = sorted(demands)
    starving = whole and limit < sum(demand > 0 for demand in demands.values())
    if starving:
        first = turn % len(names)
        names = names[first:] + names[:first]
    names.sort(key=lambda name: min(demands[name], 1.0) if starving else demands[name])
    shares: dict[str, float] = {}
    left = limit
    for place, name in enumerate(names):
        part = max(0.0, left) / (len(names) - place)
        shares[name] = min(demands[name], math.floor(part) if whole else part)
        left -= shares[name]
    return shares


def static_share(limit: Allowance, replicas: int) -> Allowance:
    """What each of so many replicas may use whatever the others do: an equal part, rounded down for calls."""
    return Allowance(
        limit.concurrency // replicas,
        None if limit.requests_per_min is None else limit.requests_per_min / replicas,
        None if limit.tokens_per_min is None else limit.tokens_per_min / replicas,
    )


@dataclass(slots=True)
class Claim:
    """One holder's part of an account. `wanted` is `None` for one that has wanted nothing for a while."""

    share: float = 0.0
    held: float = 0.0
    in_use: float = 0.0
    wanted: float | None = None

    @property
    def committed(self) -> float:
        """What it may use until it is heard of again: it keeps to a smaller share only from its next renewal on."""
        return max(self.share, self.held, self.in_use)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a holder stands after a renewal.

    `is_final`: its share is all that it wants, or all that is fair. `is_moving`: more is on its way to it, or from it
    to others who go short.
    """

    share: float
    is_final: bool
    is_moving: bool


class Account:
    """One limit of one backend, shared out among `replicas` holders; `whole`: in whole numbers.

    What is committed to all holders, with an equal part for each replica that has not come yet, never exceeds `limit`
    as long as holders keep to their shares.
    """

    def __init__(self, limit: float, replicas: int, whole: bool = False) -> None:
        self.limit = limit
        self.replicas = replicas
        self._whole = whole
        self.static = limit / replicas if not whole else limit // replicas
        self.floor = self._floor()
        self._claims: dict[str, Claim] = {}

    def _floor(self) -> float:
        """What a replica keeps that wants nothing; with one replica there is nobody to leave the rest to."""
        if self.replicas == 1:
            return self.limit
        part = IDLE_PART_01 * self.limit / (self.replicas - 1)
        return min(self.static, part if not self._whole else max(1, math.floor(part)))

    @property
    def committed(self) -> float:
        """What may be in use now, those included who have not come yet."""
        return sum(claim.committed for claim in self._claims.values()) + self._kept_for_absent()

    def renew(self, holder: str, held: float, in_use: float, wanted: float | None, turn: int = 0) -> Standing:
        """Takes down what a holder says, and gives it what is fair as far as others have left it.

        `wanted` is `None` for a holder that has wanted nothing for a while. `turn`: see `fair_shares`.
        """
        others = {name: claim for name, claim in self._claims.items() if name != holder}
        claim = self._claims[holder] = Claim(0.0, held, in_use, wanted)
        available = self.limit - self._kept_for_absent()
        free = available - sum(other.committed for other in others.values())
        fair = self._fair(available, turn)
        target = fair[holder] + self._part_of_the_rest(holder, available - sum(fair.values()))
        claim.share = max(0.0, min(target, free))
        is_final = claim.share >= fair[holder]
        others_go_short = any(other.share < fair[name] for name, other in others.items())
        is_giving = max(held, in_use) > claim.share and others_go_short
        return Standing(claim.share, is_final, not is_final or is_giving)

    def assume_aged(self, holder: str) -> None:
        """Assumes of a holder that has not renewed in time what it then does: it falls back to an equal part."""
        claim = self._claims[holder]
        claim.share = claim.held = min(claim.share, self.static)
        claim.wanted = None

    def forget(self, holder: str) -> None:
        """Strikes out a holder that is gone."""
        del self._claims[holder]

    def _kept_for_absent(self) -> float:
        return max(0, self.replicas - len(self._claims)) * self.static

    def _fair(self, available: float, turn: int) -> dict[str, float]:
        """What each should have of what it wants."""
        demands = {
            name: self.floor if claim.wanted is None else max(claim.wanted, claim.in_use, self.floor)
            for name, claim in self._claims.items()
        }
        return fair_shares(available, demands, self._whole, turn)

    def _part_of_the_rest(self, holder: str, rest: float) -> float:
        """Whoever lately wanted anything has an equal part of what is left over, so that it can want more."""
        active = {name: math.inf for name, claim in self._claims.items() if claim.wanted is not None}
        return fair_shares(max(0.0, rest), active, self._whole).get(holder, 0.0)
