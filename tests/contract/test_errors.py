"""Does every mistake get its status, OpenAI's envelope and a message that helps?"""

from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.support.asking import envelope
from tests.support.openai_client import ask
from tests.support.running_gateway import RunningGateway

CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "hi"}]
EVERY_GUARDED = [
    ("POST", CHAT),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/company"),
    ("POST", "/v1/feedback"),
    ("GET", "/api/status"),
    ("GET", "/api/optimizer"),
    ("GET", "/api/performance-report"),
    ("GET", "/no/such/path"),
]


@pytest.mark.parametrize(("method", "path"), EVERY_GUARDED)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer sk-wrong"}, {"Authorization": "Basic YTpi"}])
def test_nothing_but_the_health_checks_is_told_without_a_key(
    gateway: RunningGateway, method: str, path: str, headers: dict[str, str]
) -> None:
    reply = httpx.request(method, gateway.url + path, headers=headers, trust_env=False, timeout=60)

    assert reply.status_code == 401
    assert envelope(reply)["code"] == "invalid_api_key"
    assert reply.headers["www-authenticate"] == "Bearer"


def test_the_official_client_raises_its_own_error_for_a_wrong_key(gateway: RunningGateway) -> None:
    with (
        OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        ask(client, "right")


@pytest.mark.parametrize(
    ("body", "param", "hint"),
    [
        (b"", None, "empty"),
        (b'{"model": "company", "messages": [', None, "line 1, column"),
        (b"[]", None, "must be a JSON object"),
        (b'{"messages": [{"role": "user", "content": "hi"}]}', "model", "model"),
        (b'{"model": "company"}', "messages", "messages"),
        (b'{"model": "company", "messages": []}', "messages", "non-empty array"),
        (b'{"model": "company", "messages": "hi"}', "messages", "array of messages"),
        (b'{"model": "company", "messages": [{"role": "usr", "content": "hi"}]}', "messages[0].role", "'usr'"),
        (b'{"model": 7, "messages": [{"role": "user", "content": "hi"}]}', "model", "string"),
    ],
)
def test_a_body_that_is_no_request_is_a_400_that_says_why(
    gateway: RunningGateway, body: bytes, param: str | None, hint: str
) -> None:
    reply = gateway.http.post(CHAT, content=body, headers={"content-type": "application/json"})

    error = envelope(reply)
    assert reply.status_code == 400
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert hint in str(error["message"])
    assert reply.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("model", "parameters", "param"),
    [
        ("right", {"temperature": "hot"}, "temperature"),
        ("right", {"n": 0}, "n"),
        ("right", {"stream": "yes"}, "stream"),
        ("company", {"n": 3}, "n"),
        ("company", {"troupe": {"strategy": "telepathy"}}, "troupe.strategy"),
        ("right", {"troupe": {"strategy": "failover"}}, "troupe.strategy"),
        ("right", {"troupe": "fast"}, "troupe"),
    ],
)
def test_a_wrong_parameter_is_a_400_that_names_it(
    gateway: RunningGateway, model: str, parameters: dict[str, Any], param: str
) -> None:
    reply = gateway.post(model, **parameters)

    assert (reply.status_code, envelope(reply)["param"]) == (400, param)


def test_an_unknown_model_is_a_404_with_the_nearest_names(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        ask(client, "compani")

    assert refused.value.code == "model_not_found"
    assert "'company'" in refused.value.message


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("POST", "/v1/completions", 404, "not_found"),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("DELETE", "/v1/models/company", 405, "method_not_allowed"),
        ("POST", "/api/status", 405, "method_not_allowed"),
    ],
)
def test_a_wrong_path_or_method_speaks_the_envelope(
    gateway: RunningGateway, method: str, path: str, status: int, code: str
) -> None:
    reply = gateway.http.request(method, path)

    assert (reply.status_code, envelope(reply)["code"]) == (status, code)


def test_a_body_of_50_megabytes_is_refused_with_its_limit(gateway: RunningGateway) -> None:
    reply = httpx.post(
        gateway.url + CHAT, content=b" " * 50_000_000, headers=gateway.headers, trust_env=False, timeout=60
    )

    assert (reply.status_code, envelope(reply)["code"]) == (413, "payload_too_large")
    assert str(32 * 1024 * 1024) in str(envelope(reply)["message"])
    assert gateway.post("right").status_code == 200


@pytest.mark.parametrize(
    ("model", "kind", "code"),
    [
        ("broken", openai.InternalServerError, "upstream_error"),
        ("busy", openai.RateLimitError, "rate_limit_exceeded"),
        ("doomed", openai.InternalServerError, "no_answer"),
    ],
)
def test_what_an_upstream_does_wrong_is_told_and_never_our_500(
    client: OpenAI, model: str, kind: type[openai.APIStatusError], code: str
) -> None:
    with pytest.raises(kind) as failed:
        ask(client, model)

    assert failed.value.code == code
    assert failed.value.status_code != 500
    assert failed.value.response.headers["x-troupe-request-id"].startswith("req_")


def test_headers_that_the_front_would_obey_change_nothing(gateway: RunningGateway) -> None:
    headers = {**gateway.headers, "x-request-timeout-seconds": "0.001", "x-request-disconnect-disabled": "?1"}

    reply = httpx.post(
        gateway.url + CHAT, json={"model": "killed", "messages": HI}, headers=headers, trust_env=False, timeout=60
    )

    assert reply.status_code == 200
