"""What does it mean when an OpenAI-compatible upstream refuses?"""

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

from actors.protocol.clock import SYSTEM_CLOCK, Clock
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

REASON_LENGTH = 500
KEY_WORDS = frozenset({"invalid_api_key", "api_key_invalid", "authentication_error", "insufficient_quota"})
FILTER_WORDS = frozenset({"content_filter", "content_policy_violation", "responsibleaipolicyviolation"})
CONTEXT_WORDS = frozenset({"context_length_exceeded", "exceed_context_size_error"})
# vLLM, Anthropic, Gemini and llama.cpp give no code of their own for it.
CONTEXT_SAID = re.compile(
    r"(?:maximum|available) context|context (?:length|window|size)|prompt is too long|input token count.*exceeds",
    re.IGNORECASE,
)
STATUS_OF_WORD = {  # for errors that come without a status; general words last
    **dict.fromkeys(KEY_WORDS, 401),
    **dict.fromkeys(FILTER_WORDS | CONTEXT_WORDS, 400),
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "overloaded_error": 503,
    "timeout": 504,
    "invalid_request_error": 400,
}
CODE = re.compile(r"[\w.-]{1,64}")


class Stated(NamedTuple):
    """What an upstream says of its refusal, in whichever of the usual shapes; `words`: code and type in lower case."""

    message: str = ""
    code: str | None = None
    param: str | None = None
    words: frozenset[str] = frozenset()
    status: int | None = None


class Refusals:
    """Turns one backend's refusals into our errors, whose messages hold neither its key nor, but for the caller's own
    mistakes, its words.
    """

    def __init__(self, backend: str, api_key: str | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._backend = backend
        self._api_key = api_key
        self._clock = clock

    def of_response(self, status: int, headers: Mapping[str, str], body: bytes) -> BackendError:
        """The error for a response that is no success; `body` may be anything."""
        if 300 <= status < 400:
            target = _without_query(headers.get("location", ""))
            return BackendUnavailable(
                f"'{self._backend}' redirects to {target} ({status}), which is not followed; check its base_url.",
                self._backend,
            )
        return self.of_status(status, stated_in(_json(body)), retry_after_s(headers, self._clock))

    def of_event(self, error: object) -> BackendError:
        """The error for an `error` object where a success was announced: in a stream, or in a body of status 200."""
        stated = stated_in({"error": error})
        known = (status for word, status in STATUS_OF_WORD.items() if word in stated.words)
        status = stated.status or next(known, None)
        if status is None:
            return BackendError(f"'{self._backend}' reported an error instead of an answer.", self._backend)
        return self.of_status(status, stated)

    def of_status(self, status: int, stated: Stated, retry_after_s: float | None = None) -> BackendError:
        """The error for a status and what was said with it."""
        name = self._backend
        if status == 401 or stated.words & KEY_WORDS:
            return self._key_refused(status)
        if 400 <= status < 500 and stated.words & FILTER_WORDS:
            return self._request_refused(ContentFiltered, status, stated)
        if status in (402, 403):
            return self._key_refused(status)
        if status in (400, 413, 422) and (stated.words & CONTEXT_WORDS or CONTEXT_SAID.search(stated.message)):
            return self._request_refused(ContextTooLong, status, stated)
        if status == 429:
            return RateLimited(f"'{name}' is limiting our rate.", name, None, retry_after_s)
        if status in (408, 504):
            return BackendTimeout(f"'{name}' ran out of time itself ({status}).", name, None, retry_after_s)
        if status == 404:  # the caller chose neither the URL nor the upstream's model name
            return self._not_found()
        if 400 <= status < 500:
            return self._request_refused(RequestRefused, status, stated)
        if status in (502, 503) or 520 <= status < 530:
            return BackendUnavailable(f"'{name}' is not available ({_phrase(status)}).", name, None, retry_after_s)
        if status >= 500:
            return BackendError(f"'{name}' failed ({_phrase(status)}).", name, None, retry_after_s)
        return MalformedAnswer(f"'{name}' answered with status {status} and no completion.", name)

    def _key_refused(self, status: int) -> KeyRefused:
        return KeyRefused(
            f"'{self._backend}' refuses our credential ({status}); check its api_key and account.", self._backend
        )

    def _not_found(self) -> BackendError:
        message = f"'{self._backend}' does not know our URL or model (404); check its base_url and model."
        error = BackendError(message, self._backend, code="upstream_not_found")
        error.retryable = False
        return error

    def _request_refused(self, kind: type[RequestRefused], status: int, stated: Stated) -> RequestRefused:
        reason = " ".join(self._without_key(stated.message).split())
        if len(reason) > REASON_LENGTH:
            reason = reason[:REASON_LENGTH] + "..."
        code = stated.code if kind is RequestRefused else None  # the others have a code that programs know
        return kind(
            f"'{self._backend}' refused the request: {reason or _phrase(status)}",
            self._backend,
            self._without_key(stated.param) if stated.param else None,
            None,
            status,
            self._without_key(code) if code else None,
        )

    def _without_key(self, text: str) -> str:
        return text.replace(self._api_key, "[api_key]") if self._api_key else text


def retry_after_s(headers: Mapping[str, str], clock: Clock = SYSTEM_CLOCK) -> float | None:
    """Seconds that a response asks us to wait, at least 0: `retry-after-ms`, or `retry-after` as seconds or HTTP date.

    `None` when it asks for nothing that can be understood. Source: RFC 9110, section 10.2.3.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    asked = headers.get("retry-after")
    seconds = _number(asked)
    if seconds is not None or asked is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - clock.wall_s())
    except (ValueError, OverflowError):
        return None


def stated_in(body: object) -> Stated:
    """What an error body says: OpenAI's and Gemini's envelope, plain strings, Mistral's and FastAPI's shapes."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return Stated()
    error = body.get("error", body)
    if not isinstance(error, dict):
        return Stated(error) if isinstance(error, str) else Stated()
    message = error.get("message") or error.get("detail")
    if not isinstance(message, str):
        message = orjson.dumps(message).decode() if message else ""
    code, param = error.get("code"), error.get("param")
    said = (code, error.get("type"), error.get("status"))
    return Stated(
        message,
        code if isinstance(code, str) and CODE.fullmatch(code) and not code.isdigit() else None,
        param if isinstance(param, str) else None,
        frozenset(word.lower() for word in said if isinstance(word, str)),
        _status(code),
    )


def _status(code: object) -> int | None:
    number = int(code) if isinstance(code, str) and code.isdecimal() and len(code) == 3 else code
    return number if isinstance(number, int) and 400 <= number < 600 else None


def _json(body: bytes) -> object:
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return parsed


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _without_query(location: str) -> str:
    try:
        target = urlsplit(location)
        return (
            f"'{target.scheme or 'http'}://{target.hostname}{target.path}'" if target.hostname else f"'{target.path}'"
        )
    except ValueError:
        return "an address that is none"
