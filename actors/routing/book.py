"""Which share of its limits does a backend's actor grant to which replica?"""

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.routing.shares import Account, Allowance, Grant, Renewal, Standing

RENEW_EVERY_S = 1.0
IDLE_RENEW_EVERY_S = 10.0
SOON_S = 0.2  # while shares move
WARM_S = 10.0  # a holder that wanted something so lately has its part of what is left over
OVERDUE_S = 1.5  # a holder silent for longer gives way to one beyond the configured number: it takes 2 s to start one
SILENT_AFTER_S = 5.0  # its own share has aged by then, see orchestrating/holdings.py
FORGOTTEN_AFTER_S = 30.0  # three renewals of an idle holder
TURN_S = 2.0  # where there are fewer permits than replicas that want one

UNLIMITED = Standing(0.0, is_final=True, is_moving=False)


class Book:
    """One backend's limits, who holds how much of them, and when each holder was last heard of.

    It begins empty, after a restart as well; each configured replica that has not come yet counts with an equal part.
    """

    def __init__(self, limit: Allowance, replicas: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._replicas = replicas
        self._concurrency = Account(limit.concurrency, replicas, whole=True)
        self._requests = _account(limit.requests_per_min, replicas)
        self._tokens = _account(limit.tokens_per_min, replicas)
        self._accounts = [one for one in (self._concurrency, self._requests, self._tokens) if one is not None]
        self._heard_s: dict[str, float] = {}
        self._due_s: dict[str, float] = {}  # when each holder was told to come again
        self._wanted_s: dict[str, float] = {}  # when each holder last wanted anything, or came

    @property
    def committed(self) -> Allowance:
        """What may be in use by all holders together."""
        return Allowance(
            int(self._concurrency.committed),
            self._requests.committed if self._requests else None,
            self._tokens.committed if self._tokens else None,
        )

    def renew(self, renewal: Renewal) -> Grant:
        """The holder's share from now on."""
        now_s = self._clock.monotonic_s()
        holder, held, wanted = renewal.holder, renewal.held, renewal.wanted
        self._heard_s[holder] = now_s
        if wanted.concurrency or holder not in self._wanted_s:
            self._wanted_s[holder] = now_s
        self._due_s.setdefault(holder, now_s)
        self._give_up_the_silent(now_s)
        is_warm = now_s - self._wanted_s[holder] < WARM_S
        turn = int(now_s / TURN_S)

        def stand(account: Account | None, held: float | None, wanted: float | None, in_use: float = 0.0) -> Standing:
            if account is None:
                return UNLIMITED
            return account.renew(holder, held or 0.0, in_use, (wanted or 0.0) if is_warm else None, turn)

        calls = stand(self._concurrency, held.concurrency, wanted.concurrency, renewal.in_flight)
        requests = stand(self._requests, held.requests_per_min, wanted.requests_per_min)
        tokens = stand(self._tokens, held.tokens_per_min, wanted.tokens_per_min)
        share = Allowance(
            int(calls.share),
            None if requests is UNLIMITED else requests.share,
            None if tokens is UNLIMITED else tokens.share,
        )
        is_final = calls.is_final and requests.is_final and tokens.is_final
        is_moving = calls.is_moving or requests.is_moving or tokens.is_moving
        is_idle = not is_warm and share == held  # one that has still to keep to less says so soon
        renew_in_s = SOON_S if is_moving else IDLE_RENEW_EVERY_S if is_idle else RENEW_EVERY_S
        self._due_s[holder] = now_s + renew_in_s
        return Grant(share, renew_in_s, is_final)

    def _give_up_the_silent(self, now_s: float) -> None:
        for holder in sorted(self._heard_s, key=self._due_s.__getitem__):  # the most overdue first
            silent_s = now_s - self._heard_s[holder]
            is_replaced = len(self._heard_s) > self._replicas and silent_s > OVERDUE_S
            if is_replaced or silent_s > FORGOTTEN_AFTER_S:
                self._forget(holder)
            elif silent_s > SILENT_AFTER_S:
                for account in self._accounts:
                    account.assume_aged(holder)

    def _forget(self, holder: str) -> None:
        del self._heard_s[holder], self._wanted_s[holder], self._due_s[holder]
        for account in self._accounts:
            account.forget(holder)


def _account(limit: float | None, replicas: int) -> Account | None:
    return None if limit is None else Account(limit, replicas)
