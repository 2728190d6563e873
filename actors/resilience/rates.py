"""Have requests and tokens been used up for the moment, and when will there be more?"""

from collections.abc import Mapping, Sequence

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.messages import JsonObject, Usage

BURST_S = 2.0  # so much of a rate may be saved up: over any minute it is exceeded by a thirtieth at most
CHARACTERS_PER_TOKEN = 4
EXPECTED_COMPLETION_TOKENS = 256  # where the caller sets no limit
REPAY_WITHIN_S = 10.0


class Bucket:
    """So many units a minute, of which `BURST_S` worth can be saved up.

    What costs more than a full bucket begins when it is full and leaves it in debt, so that the rate holds all the
    same. Source: Turner 1986, "New directions in communications (or which way to the information age?)".
    """

    __slots__ = ("_capacity", "_clock", "_level", "_per_s", "_seen_s", "asked")

    def __init__(self, per_min: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._seen_s = clock.monotonic_s()
        self._per_s = per_min / 60
        self._capacity = self._level = self._per_s * BURST_S
        self.asked = 0.0  # what was asked of it, had or not; whoever reads it sets it back

    def resize(self, per_min: float) -> None:
        """Changes the rate. What is saved up beyond the new burst is lost, a debt stays."""
        self._refill()
        self._per_s = per_min / 60
        self._capacity = self._per_s * BURST_S
        self._level = min(self._level, self._capacity)

    def has(self, cost: float) -> bool:
        """Whether `cost` can be taken now."""
        self._refill()
        return self._level >= min(cost, self._capacity) and self._per_s > 0

    def take(self, cost: float) -> None:
        """Takes `cost`, also more than there is; a negative one is given back."""
        self._level -= cost

    def wait_s(self, cost: float, ahead: float = 0.0) -> float:
        """Seconds until `cost` can be taken after `ahead` was; infinite while the rate is 0."""
        self._refill()
        missing = ahead + min(cost, self._capacity) - self._level
        if self._per_s <= 0:
            return float("inf")
        return max(0.0, missing / self._per_s)

    def owed_per_min(self) -> float:
        """The rate that pays a debt back within `REPAY_WITHIN_S`; 0 without one."""
        self._refill()
        return max(0.0, -self._level) * 60 / REPAY_WITHIN_S

    def _refill(self) -> None:
        now_s = self._clock.monotonic_s()
        if self._level < self._capacity:
            self._level = min(self._capacity, self._level + (now_s - self._seen_s) * self._per_s)
        self._seen_s = now_s


class Rates:
    """The requests and tokens a minute that one holder may send to one backend; at least one of them is limited."""

    __slots__ = ("requests", "tokens")

    def __init__(
        self, requests_per_min: float | None, tokens_per_min: float | None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.requests = None if requests_per_min is None else Bucket(requests_per_min, clock)
        self.tokens = None if tokens_per_min is None else Bucket(tokens_per_min, clock)

    def price(self, body: JsonObject) -> int:
        """The tokens that a call with this body is expected to cost; 0 where tokens are not limited."""
        return 0 if self.tokens is None else estimated_tokens(body)

    def note(self, tokens: int) -> None:
        """Takes note of a call that was asked for, whatever becomes of it."""
        if self.requests is not None:
            self.requests.asked += 1
        if self.tokens is not None:
            self.tokens.asked += tokens

    def take(self, tokens: int) -> bool:
        """Takes what one call costs, unless something of it is used up."""
        if self.requests is not None and not self.requests.has(1):
            return False
        if self.tokens is not None:
            if not self.tokens.has(tokens):
                return False
            self.tokens.take(tokens)
        if self.requests is not None:
            self.requests.take(1)
        return True

    def wait_s(self, tokens: int, calls_ahead: int = 0, tokens_ahead: int = 0) -> float:
        """Seconds until one call can begin after those that wait before it."""
        requests_s = 0.0 if self.requests is None else self.requests.wait_s(1, calls_ahead)
        return requests_s if self.tokens is None else max(requests_s, self.tokens.wait_s(tokens, tokens_ahead))

    def correct(self, price: int, usage: Usage | None) -> None:
        """Charges what a call has really cost in the place of its price; without a count the price stays."""
        if self.tokens is not None and usage is not None:
            self.tokens.take(usage.total_tokens - price)


def estimated_tokens(body: JsonObject) -> int:
    """A guess at prompt and answer together: a quarter of the text's characters, and the longest answer allowed."""
    messages = body.get("messages")
    characters = sum(map(_characters, messages)) if isinstance(messages, Sequence) else 0
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    choices = body.get("n")
    answer = limit if isinstance(limit, int) else EXPECTED_COMPLETION_TOKENS
    return characters // CHARACTERS_PER_TOKEN + answer * (choices if isinstance(choices, int) else 1)


def _characters(message: object) -> int:
    """The length of a message's text, whether that comes whole or in parts; images and the like do not count."""
    content = message.get("content") if isinstance(message, Mapping) else None
    if isinstance(content, str):
        return len(content)
    if not isinstance(content, Sequence):
        return 0
    texts = (part.get("text") for part in content if isinstance(part, Mapping))
    return sum(len(text) for text in texts if isinstance(text, str))
