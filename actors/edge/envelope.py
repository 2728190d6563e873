"""How does an error look to an OpenAI client?"""

import math

from actors.protocol.errors import (
    LLMError,
    OptimizerError,
    Overloaded,
    QuotaExceeded,
    SupervisorError,
    TracerError,
    Unauthenticated,
)
from actors.protocol.messages import JsonObject

LONGEST_RETRY_AFTER_S = 86_400.0  # an upstream's wish is passed on, but not as far as next year

# Nothing was asked of any model yet. After that the request's own attempts are spent: a client's would multiply them.
UNTRIED = (Overloaded, OptimizerError, SupervisorError, TracerError)

Header = tuple[bytes, bytes]


def envelope(error: LLMError) -> JsonObject:
    """The body of an error response: `{"error": {"message", "type", "param", "code"}}`."""
    return {"error": {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}}


def http_status(error: LLMError) -> int:
    """The response's status, 400..599; 502 where an upstream's own status is not an error."""
    return error.status if 400 <= error.status <= 599 else 502


def error_headers(error: LLMError) -> list[Header]:
    """What tells a client whether, when and how to try again: `x-should-retry`, `retry-after`, `www-authenticate`."""
    headers = [(b"x-should-retry", b"true" if _is_worth_another_try(error) else b"false")]
    if error.retry_after_s is not None:
        wait_s = math.ceil(max(0.0, min(LONGEST_RETRY_AFTER_S, error.retry_after_s)))
        headers.append((b"retry-after", b"%d" % wait_s))
    if isinstance(error, Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    return headers


def _is_worth_another_try(error: LLMError) -> bool:
    # A budget that is only set aside for others may be free in a moment; one that is spent says no time.
    return isinstance(error, UNTRIED) or (isinstance(error, QuotaExceeded) and error.retry_after_s is not None)


def internal_error(request_id: str) -> LLMError:
    """What a caller learns of a failure that nobody foresaw."""
    return LLMError(f"The gateway failed on this request; its log says more under '{request_id}'.")
