import math
from collections.abc import Iterator

import pytest

from actors.edge.envelope import UNTRIED, envelope, error_headers, http_status, internal_error
from actors.protocol import errors
from actors.protocol.errors import (
    BackendError,
    CallerError,
    LLMError,
    Overloaded,
    QuotaExceeded,
    RateLimited,
    Unauthenticated,
)


def family(kind: type[LLMError]) -> Iterator[type[LLMError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from family(child)


def test_an_error_becomes_the_openai_envelope() -> None:
    error = CallerError("'n' must be smaller.", param="n", code="invalid_value")

    assert envelope(error) == {
        "error": {
            "message": "'n' must be smaller.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_value",
        }
    }


@pytest.mark.parametrize("kind", list(family(LLMError)))
def test_every_error_says_whether_to_try_again(kind: type[LLMError]) -> None:
    headers = dict(error_headers(kind("x")))

    assert headers[b"x-should-retry"] == (b"true" if issubclass(kind, UNTRIED) else b"false")
    assert http_status(kind("x")) == kind.status
    assert envelope(kind("x"))["error"]["code"] == kind.code


@pytest.mark.parametrize(
    ("retry_after_s", "header"),
    [(0.0, b"0"), (0.2, b"1"), (3.0, b"3"), (3.01, b"4"), (-1.0, b"0"), (math.inf, b"86400"), (math.nan, b"86400")],
)
def test_retry_after_is_in_whole_seconds_rounded_up(retry_after_s: float, header: bytes) -> None:
    assert dict(error_headers(RateLimited("slow", retry_after_s=retry_after_s)))[b"retry-after"] == header


def test_a_budget_is_worth_another_try_only_while_it_is_set_aside_for_others() -> None:
    told = [dict(error_headers(QuotaExceeded("no", retry_after_s=after_s))) for after_s in (1.0, None)]

    assert [headers[b"x-should-retry"] for headers in told] == [b"true", b"false"]


def test_no_retry_after_is_made_up() -> None:
    assert b"retry-after" not in dict(error_headers(Overloaded("full")))


def test_only_our_own_401_asks_for_a_bearer() -> None:
    assert dict(error_headers(Unauthenticated("who?")))[b"www-authenticate"] == b"Bearer"
    assert b"www-authenticate" not in dict(error_headers(BackendError("theirs", status=401)))


@pytest.mark.parametrize(("status", "sent"), [(200, 502), (302, 502), (451, 451), (599, 599), (600, 502)])
def test_an_upstream_status_that_is_no_error_becomes_502(status: int, sent: int) -> None:
    assert http_status(BackendError("odd", status=status)) == sent


def test_an_unforeseen_failure_tells_its_id_and_nothing_else() -> None:
    error = internal_error("req_1")

    assert (error.status, error.code, error.retryable) == (500, "internal_error", False)
    assert "req_1" in error.message
