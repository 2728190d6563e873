"""Does each refusal become the error that callers and operators can act on?"""

import orjson
import pytest

from actors.protocol.clock import ManualClock
from actors.protocol.errors import (
    BackendError,
    BackendTimeout,
    BackendUnavailable,
    ContentFiltered,
    ContextTooLong,
    KeyRefused,
    MalformedAnswer,
    RateLimited,
    RequestRefused,
)
from actors.providers.refusals import Refusals, retry_after_s

KEY = "sk-very-secret"
REFUSALS = Refusals("far", KEY)


def refused(status: int, body: object = None, **headers: str) -> BackendError:
    raw = body if isinstance(body, bytes) else orjson.dumps({"error": body} if isinstance(body, dict) else body)
    return REFUSALS.of_response(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


@pytest.mark.parametrize(
    ("status", "error", "retryable"),
    [
        (301, BackendUnavailable, True),
        (307, BackendUnavailable, True),
        (400, RequestRefused, False),
        (401, KeyRefused, False),
        (402, KeyRefused, False),
        (403, KeyRefused, False),
        (404, BackendError, False),
        (408, BackendTimeout, True),
        (413, RequestRefused, False),
        (422, RequestRefused, False),
        (429, RateLimited, True),
        (500, BackendError, True),
        (502, BackendUnavailable, True),
        (503, BackendUnavailable, True),
        (504, BackendTimeout, True),
        (529, BackendUnavailable, True),
        (599, BackendError, True),
        (100, MalformedAnswer, True),
    ],
)
def test_each_status_has_its_error(status: int, error: type[BackendError], retryable: bool) -> None:
    found = refused(status, b"<html>whatever</html>")

    assert type(found) is error
    assert found.retryable is retryable
    assert found.backend == "far"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"message": "x", "code": "context_length_exceeded"}, ContextTooLong),
        ({"message": "This model's maximum context length is 8 tokens"}, ContextTooLong),
        ({"message": "prompt is too long: 9 tokens"}, ContextTooLong),
        ({"message": "the request exceeds the available context size", "code": 400}, ContextTooLong),
        ({"message": "x", "code": "content_filter", "type": None}, ContentFiltered),
        ({"message": "x", "code": "content_policy_violation"}, ContentFiltered),
        ({"message": "API key not valid", "status": "INVALID_ARGUMENT", "code": "API_KEY_INVALID"}, KeyRefused),
        ({"message": "x", "code": "anything"}, RequestRefused),
    ],
)
def test_what_a_400_says_decides(body: dict[str, object], error: type[BackendError]) -> None:
    assert type(refused(400, body)) is error


def test_an_exhausted_account_is_not_a_matter_of_waiting() -> None:
    assert type(refused(429, {"message": "You exceeded your quota", "code": "insufficient_quota"})) is KeyRefused


def test_the_caller_s_mistake_is_passed_on_with_reason_status_param_and_code() -> None:
    error = refused(422, {"message": "must be\nat most 2", "param": "temperature", "code": "too_big"})

    assert str(error) == "'far' refused the request: must be at most 2"
    assert (error.status, error.param, error.code) == (422, "temperature", "too_big")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"error": "plain words"}, "plain words"),
        ({"object": "error", "message": "Mistral's way", "code": 400}, "Mistral's way"),
        ([{"error": {"message": "Gemini's way", "code": 400}}], "Gemini's way"),
        ({"detail": [{"loc": ["body"], "msg": "FastAPI's way"}]}, '[{"loc":["body"],"msg":"FastAPI\'s way"}]'),
        ({"detail": "Not Found"}, "Not Found"),
        ({"error": None}, "400 Bad Request"),
        ([], "400 Bad Request"),
        ("text", "400 Bad Request"),
    ],
)
def test_every_usual_shape_of_reason_is_understood(body: object, reason: str) -> None:
    assert str(REFUSALS.of_response(400, {}, orjson.dumps(body))) == f"'far' refused the request: {reason}"


def test_a_long_reason_is_cut() -> None:
    assert len(str(refused(400, {"message": "x" * 10_000}))) < 600


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 503])
def test_no_message_holds_our_key(status: int) -> None:
    error = refused(status, {"message": f"Incorrect API key provided: {KEY}", "code": KEY, "param": KEY})

    assert KEY not in str(error)
    assert KEY not in repr(error)


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_an_upstream_s_words_are_kept_to_itself_but_for_the_caller_s_mistakes(status: int) -> None:
    assert "org-1234" not in str(refused(status, {"message": "limit of org-1234 reached"}))


def test_a_redirect_is_named_without_its_query() -> None:
    error = refused(302, location="https://user:pw@elsewhere.example:8443/v1/chat?token=secret")

    assert "redirects to 'https://elsewhere.example/v1/chat' (302)" in str(error)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "x", "code": 429}, RateLimited),
        ({"message": "x", "code": "503"}, BackendUnavailable),
        ({"message": "x", "type": "overloaded_error"}, BackendUnavailable),
        ({"message": "x", "type": "invalid_request_error", "code": "rate_limit_exceeded"}, RateLimited),
        ({"message": "x", "type": "invalid_request_error", "code": "context_length_exceeded"}, ContextTooLong),
        ({"message": "x", "type": "invalid_request_error"}, RequestRefused),
        ({"message": "x", "code": "invalid_api_key"}, KeyRefused),
        ({"message": "x", "type": "server_error"}, BackendError),
        ("plain words", BackendError),
        (None, BackendError),
    ],
)
def test_an_error_after_a_status_of_success_is_told_by_its_words(error: object, expected: type[BackendError]) -> None:
    assert type(REFUSALS.of_event(error)) is expected


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:00:00 GMT"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
    ],
)
def test_a_wish_to_wait_is_understood_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    clock = ManualClock(epoch_s=1_700_000_000)  # Tue, 14 Nov 2023 22:13:20 GMT

    assert retry_after_s(headers, clock) == seconds


def test_a_rate_limit_and_an_outage_carry_the_wish_to_wait() -> None:
    assert refused(429, retry_after="3").retry_after_s == 3
    assert refused(503, retry_after_ms="250").retry_after_s == 0.25
