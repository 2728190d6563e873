import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from actors.edge.http import HttpApp
from actors.protocol.clock import ManualClock
from actors.protocol.errors import BackendTimeout, LLMError, NotFound, Overloaded, RateLimited, UnknownModel
from actors.protocol.messages import Feedback
from tests.unit.edge.fake_gateway import FakeGateway, chunk, completion

CHAT = "/v1/chat/completions"
ASK = {"model": "alpha", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}
KEYS = [("ci", "secret-1"), ("ops", "secret-2")]


def client(
    gateway: FakeGateway, *, keys: list[tuple[str, str]] | None = None, limit: int = 10_000
) -> httpx.AsyncClient:
    app = HttpApp(gateway, keys or [], limit, clock=ManualClock(12.5), instance="island-1")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://troupe")


def events(response: httpx.Response) -> list[str]:
    assert response.text.endswith("\n\n")
    return response.text.removesuffix("\n\n").split("\n\n")


async def test_a_completion_comes_back_whole_with_the_gateways_headers() -> None:
    gateway = FakeGateway()

    response = await client(gateway).post(CHAT, json=ASK)

    assert response.status_code == 200
    assert response.json() == completion()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-troupe-backend"] == "alpha"
    assert re.fullmatch(r"req_[0-9a-f]{24}", response.headers["x-troupe-request-id"])
    assert gateway.requests[0].request_id == response.headers["x-troupe-request-id"]
    assert (gateway.requests[0].received_s, gateway.requests[0].key_name) == (12.5, None)


async def test_the_request_id_is_never_the_clients() -> None:
    sent = {"x-troupe-request-id": "req_mine", "x-request-id": "req_mine"}

    response = await client(FakeGateway()).post(CHAT, json=ASK, headers=sent)

    assert response.headers["x-troupe-request-id"] != "req_mine"


async def test_header_values_that_http_cannot_hold_do_not_break_a_reply() -> None:
    gateway = FakeGateway(headers={"X-Troupe-Backend": "模型\r\nset-cookie: a"})

    response = await client(gateway).post(CHAT, json=ASK)

    assert response.headers["x-troupe-backend"] == "??  set-cookie: a"
    assert response.status_code == 200


async def test_a_stream_is_framed_and_ends_with_done() -> None:
    gateway = FakeGateway(events=[b"", chunk("4"), b'{\n "x": 1\n}', chunk("2", "stop")])

    response = await client(gateway).post(CHAT, json={**ASK, "stream": True})

    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-troupe-backend"] == "alpha"
    assert response.headers["x-troupe-request-id"] == gateway.requests[0].request_id
    keep_alive, first, second, third, done = events(response)
    assert (keep_alive, first, third) == (
        ": keep-alive",
        f"data: {chunk('4').decode()}",
        f"data: {chunk('2', 'stop').decode()}",
    )
    assert second == 'data: {\ndata:  "x": 1\ndata: }'
    assert done == "data: [DONE]"
    assert gateway.closed.is_set()


async def test_a_stream_without_events_is_still_a_stream() -> None:
    response = await client(FakeGateway(events=[])).post(CHAT, json={**ASK, "stream": True})

    assert (response.status_code, response.text) == (200, "data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_before_the_first_byte_has_its_own_status(stream: bool) -> None:
    gateway = FakeGateway(failure=RateLimited("Slow down.", retry_after_s=1.5))

    response = await client(gateway).post(CHAT, json={**ASK, "stream": stream})

    assert response.status_code == 429
    assert response.json() == {
        "error": {"message": "Slow down.", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
    }
    assert response.headers["retry-after"] == "2"
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-troupe-request-id"].startswith("req_")


async def test_an_error_instead_of_the_first_event_has_its_own_status() -> None:
    gateway = FakeGateway(events=[BackendTimeout("Nothing came.")])

    response = await client(gateway).post(CHAT, json={**ASK, "stream": True})

    assert (response.status_code, response.json()["error"]["code"]) == (504, "timeout")
    assert gateway.closed.is_set()


async def test_an_error_inside_a_stream_is_told_in_band_and_never_ends_cleanly() -> None:
    gateway = FakeGateway(events=[chunk("4"), BackendTimeout("It fell silent.")])

    response = await client(gateway).post(CHAT, json={**ASK, "stream": True, "n": 2})

    first, last = events(response)
    assert first == f"data: {chunk('4').decode()}"
    told = json.loads(last.removeprefix("data: "))
    assert told["error"] == {"message": "It fell silent.", "type": "server_error", "param": None, "code": "timeout"}
    assert [choice["finish_reason"] for choice in told["choices"]] == ["error", "error"]
    assert (told["object"], told["created"], told["model"]) == ("chat.completion.chunk", 1_700_000_012, "alpha")
    assert gateway.closed.is_set()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_surprise_is_logged_once_and_its_details_stay_inside(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = FakeGateway(failure=ZeroDivisionError("secret detail"))

    response = await client(gateway).post(CHAT, json={**ASK, "stream": stream})

    request_id = response.headers["x-troupe-request-id"]
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    assert request_id in response.json()["error"]["message"]
    assert "secret detail" not in response.text
    assert [request_id in record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [True]


async def test_a_surprise_inside_a_stream_is_told_without_details(caplog: pytest.LogCaptureFixture) -> None:
    gateway = FakeGateway(events=[chunk("4"), ZeroDivisionError("secret detail")])

    response = await client(gateway).post(CHAT, json={**ASK, "stream": True})

    assert json.loads(events(response)[-1].removeprefix("data: "))["error"]["code"] == "internal_error"
    assert "secret detail" not in response.text
    assert "ZeroDivisionError" in caplog.text


async def test_a_reply_that_is_not_json_is_a_surprise_not_half_an_answer() -> None:
    gateway = FakeGateway()
    gateway.models = lambda: [{"id": "alpha", "created": object()}]  # type: ignore[method-assign]

    response = await client(gateway).get("/v1/models")

    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")


async def test_a_gateway_that_refuses_does_so_before_it_reads() -> None:
    gateway = FakeGateway(refusal=Overloaded("Stopping.", retry_after_s=3))

    response = await client(gateway).post(CHAT, content=b"not even json")

    assert (response.status_code, response.headers["retry-after"]) == (503, "3")
    assert response.json()["error"]["message"] == "Stopping."
    assert gateway.requests == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"[]", 400, "invalid_type"),
        (b"{}", 400, "missing_required_parameter"),
        (b'{"model": "alpha", "messages": []}', 400, "invalid_value"),
        (b" " * 10_001, 413, "payload_too_large"),
    ],
)
async def test_bad_bodies_are_refused_in_the_envelope(body: bytes, status: int, code: str) -> None:
    response = await client(FakeGateway()).post(CHAT, content=body)

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.json()["error"].keys() == {"message", "type", "param", "code"}
    assert response.headers["x-should-retry"] == "false"


async def test_a_body_of_exactly_the_limit_is_taken() -> None:
    raw = json.dumps(ASK).encode().ljust(10_000)

    response = await client(FakeGateway()).post(CHAT, content=raw)

    assert response.status_code == 200


async def test_a_chunked_body_over_the_limit_is_refused_while_it_is_read() -> None:
    app = HttpApp(FakeGateway(), [], 10_000, instance="island-1")
    asked: list[int] = []
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        asked.append(len(sent))
        return {"type": "http.disconnect"} if sent else {"type": "http.request", "body": b" " * 1000, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"transfer-encoding", b"chunked")]
    await app({"type": "http", "method": "POST", "path": CHAT, "headers": headers}, receive, send)

    assert asked.count(0) == 11
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]
    assert json.loads(sent[1]["body"])["error"]["code"] == "payload_too_large"


async def test_models_are_listed_and_found_by_id() -> None:
    http = client(FakeGateway())

    listed = (await http.get("/v1/models")).json()
    found = (await http.get("/v1/models/org/gamma-1b")).json()

    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["alpha", "beta", "org/gamma-1b"]
    assert found["id"] == "org/gamma-1b"


async def test_an_unknown_model_is_answered_with_the_nearest_names() -> None:
    response = await client(FakeGateway()).get("/v1/models/alpa")

    assert response.status_code == 404
    assert response.json()["error"] == {
        "message": "The model 'alpa' does not exist. Did you mean 'alpha'?",
        "type": "invalid_request_error",
        "param": "model",
        "code": UnknownModel.code,
    }


async def test_feedback_reaches_the_gateway() -> None:
    gateway = FakeGateway()

    response = await client(gateway).post("/v1/feedback", json={"request_id": "req_1", "score_01": 1})

    assert (response.status_code, response.json()["recorded"]) == (200, True)
    assert gateway.feedback == [Feedback("req_1", score_01=1)]


async def test_what_was_learned_can_be_taken_out_forgotten_and_put_back() -> None:
    http = client(FakeGateway())
    one = {"task_type": "math", "backend": "a", "reward_01": 1.0, "at_s": 5.0, "pattern": "format"}

    imported = await http.post("/api/optimizer/import", json={"judgements": [one]})
    exported = await http.get("/api/optimizer/export")
    await http.post("/api/optimizer/reset")

    assert imported.json() == {"imported": 1}
    assert exported.json() == {"judgements": [one]}
    assert (await http.get("/api/optimizer/export")).json() == {"judgements": []}
    assert (await http.get("/api/optimizer/reset")).status_code == 405


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "judgements"),
        ({"judgements": [{}]}, "judgements[0].task_type"),
        ({"judgements": [{"task_type": "math", "backend": "a", "reward_01": 2, "at_s": 0}]}, "judgements[0].reward_01"),
        ({"judgements": [{"task_typ": "math"}]}, "judgements[0].task_typ"),
    ],
)
async def test_an_import_that_is_no_export_is_refused_by_the_name_of_what_is_wrong(
    body: dict[str, object], param: str
) -> None:
    response = await client(FakeGateway()).post("/api/optimizer/import", json=body)

    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


async def test_feedback_that_judges_nothing_is_unprocessable() -> None:
    response = await client(FakeGateway()).post("/v1/feedback", json={"request_id": "req_1"})

    assert (response.status_code, response.json()["error"]["code"]) == (422, "unprocessable")


@pytest.mark.parametrize("path", ["/api/status", "/api/optimizer", "/api/performance-report", "/livez", "/readyz"])
async def test_reports_answer_get_and_head(path: str) -> None:
    http = client(FakeGateway())

    got, head = await http.get(path), await http.head(path)

    assert got.status_code == head.status_code == 200
    assert isinstance(got.json(), dict)
    assert head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"]


async def test_probes_tell_which_instance_answered() -> None:
    http = client(FakeGateway(unready="No backend is reachable yet."))

    alive, ready, status = await http.get("/livez"), await http.get("/readyz"), await http.get("/api/status")

    assert (alive.status_code, alive.headers["x-troupe-instance"]) == (200, "island-1")
    assert (ready.status_code, ready.headers["x-troupe-instance"]) == (503, "island-1")
    assert ready.json()["error"]["message"] == "No backend is reachable yet."
    assert "x-troupe-instance" not in status.headers


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", CHAT, "POST"),
        ("HEAD", CHAT, "POST"),
        ("OPTIONS", CHAT, "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("DELETE", "/v1/models/alpha", "GET, HEAD"),
        ("PUT", "/livez", "GET, HEAD"),
        ("GET", "/v1/feedback", "POST"),
    ],
)
async def test_a_wrong_method_learns_the_right_ones(method: str, path: str, allow: str) -> None:
    response = await client(FakeGateway()).request(method, path)

    assert (response.status_code, response.headers["allow"]) == (405, allow)
    if method != "HEAD":
        assert response.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/models/", "/v1/completions", "/v1/chat/completions/", "//livez"])
async def test_an_unknown_path_is_not_found(path: str) -> None:
    response = await client(FakeGateway()).post(f"http://troupe{path}")

    assert (response.status_code, response.json()["error"]["code"]) == (404, NotFound.code)


async def test_paths_are_taken_below_the_root_path() -> None:
    app = HttpApp(FakeGateway(), [], 10_000, instance="island-1")
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app, root_path="/llm"), base_url="http://troupe")

    assert (await http.get("/llm/livez")).status_code == 200


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/models/alpha", "/v1/feedback", "/api/status", "/nowhere"])
async def test_with_keys_everything_but_the_probes_needs_one(path: str) -> None:
    response = await client(FakeGateway(), keys=KEYS).get(path)

    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert response.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_probes_need_no_key(path: str) -> None:
    assert (await client(FakeGateway(), keys=KEYS).get(path)).status_code == 200


async def test_the_gateway_learns_the_name_of_the_key_not_the_key() -> None:
    gateway = FakeGateway()

    await client(gateway, keys=KEYS).post(CHAT, json=ASK, headers={"authorization": "Bearer secret-2"})

    assert gateway.requests[0].key_name == "ops"
    assert "secret-2" not in repr(gateway.requests[0])
    assert "6 times 7" not in repr(gateway.requests[0])


async def test_without_a_key_the_body_stays_unread_until_the_answer_is_out() -> None:
    app = HttpApp(FakeGateway(), KEYS, 10_000, instance="island-1")
    order: list[object] = []

    async def receive() -> dict[str, Any]:
        order.append("read")
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Any) -> None:
        order.append(message.get("status") or len(message["body"]) > 0)

    headers = [(b"content-length", b"2")]
    await app({"type": "http", "method": "POST", "path": CHAT, "headers": headers}, receive, send)

    assert order == [401, True, "read", False]


@pytest.mark.parametrize(("query", "recent"), [("", 20), ("?recent=0", 0), ("?recent=10000", 10_000)])
async def test_the_report_tells_of_as_many_requests_as_asked(query: str, recent: int) -> None:
    response = await client(FakeGateway()).get(f"/api/performance-report{query}")

    assert response.json()["recent"] == recent


@pytest.mark.parametrize("recent", ["-1", "10001", "all", "999999999999", "\u0663"])
async def test_what_is_no_number_of_requests_is_refused(recent: str) -> None:
    response = await client(FakeGateway()).get("/api/performance-report", params={"recent": recent})

    assert (response.status_code, response.json()["error"]["param"]) == (400, "recent")


@pytest.mark.parametrize(
    ("headers", "content", "limit", "outcome", "key"),
    [
        ({}, b"{}", 100, "invalid_api_key", None),
        ({"authorization": "Bearer secret-1"}, b"{", 100, "invalid_json", "ci"),
        ({"authorization": "Bearer secret-1"}, b"{}", 100, "missing_required_parameter", "ci"),
        ({"authorization": "Bearer secret-1"}, b"{" * 101, 100, "payload_too_large", "ci"),
    ],
)
async def test_who_is_refused_at_the_door_is_on_record(
    headers: dict[str, str], content: bytes, limit: int, outcome: str, key: str | None
) -> None:
    gateway = FakeGateway()

    response = await client(gateway, keys=KEYS, limit=limit).post(CHAT, content=content, headers=headers)

    (record,) = gateway.refusals
    assert (record.outcome, record.key_name, record.model) == (outcome, key, "unknown")
    assert (record.status, record.request_id) == (response.status_code, response.headers["x-troupe-request-id"])


async def test_who_finds_the_gateway_full_is_on_record_and_who_is_let_in_is_not() -> None:
    gateway = FakeGateway(refusal=Overloaded("full"))
    http = client(gateway)
    await http.post(CHAT, json=ASK)
    gateway.refusal = None
    await http.post(CHAT, json=ASK)

    assert [record.outcome for record in gateway.refusals] == ["overloaded"]


async def test_one_refusal_raised_many_times_does_not_grow() -> None:
    refusal = LLMError("no")
    http = client(FakeGateway(refusal=refusal))

    for _ in range(3):
        await http.post(CHAT, json=ASK)

    depth, trace = 0, refusal.__traceback__
    while trace is not None:
        depth, trace = depth + 1, trace.tb_next
    assert depth <= 4


def scope_of(body: bytes) -> dict[str, Any]:
    headers = [(b"content-length", str(len(body)).encode())]
    return {"type": "http", "method": "POST", "path": CHAT, "headers": headers}


def receiving(body: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    """An ASGI `receive` of a client that sends its body at once and then stays."""
    messages = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else await asyncio.get_running_loop().create_future()

    return receive


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cancellation_from_outside_passes_through_and_stops_the_work(stream: bool) -> None:
    gateway = FakeGateway(hangs=True)
    app = HttpApp(gateway, [], 10_000, instance="island-1")
    body = json.dumps({**ASK, "stream": stream}).encode()

    async def send(_: Any) -> None:
        return

    task = asyncio.create_task(app(scope_of(body), receiving(body), send))
    await gateway.hanging.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert gateway.stopped.is_set()
    assert gateway.closed.is_set() is stream


@pytest.mark.parametrize("refused_message", [0, 1, 3])
async def test_a_client_that_refuses_to_read_on_ends_the_stream_quietly(
    refused_message: int, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = FakeGateway()
    app = HttpApp(gateway, [], 10_000, instance="island-1")
    body = json.dumps({**ASK, "stream": True}).encode()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        if len(sent) == refused_message:
            raise ConnectionResetError
        sent.append(message)

    await app(scope_of(body), receiving(body), send)

    assert gateway.closed.is_set()
    assert caplog.records == []


async def test_start_and_stop_of_the_server_are_acknowledged() -> None:
    app = HttpApp(FakeGateway(), [], 10_000, instance="island-1")
    messages = ["lifespan.shutdown", "lifespan.startup"]
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": messages.pop()}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_websocket_is_closed() -> None:
    app = HttpApp(FakeGateway(), [], 10_000, instance="island-1")
    sent: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "websocket", "path": "/"}, receiving(b""), send)

    assert sent == ["websocket.close"]


async def test_what_can_be_seen_is_served_under_its_address() -> None:
    async with client(FakeGateway()) as http:
        usage = await http.get("/api/usage?day=2026-11-23")
        explained = await http.get("/explain/req_known")
        metrics = await http.get("/metrics")

    assert usage.json() == {"total": {"requests": 1}}
    assert explained.json() == {"request_id": "req_known"}
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "troupe_tracer_up 1.0" in metrics.text


async def test_a_report_for_nobody_in_particular_is_json() -> None:
    response = await client(FakeGateway()).get("/api/performance-report", headers={"accept": "*/*"})

    assert response.headers["content-type"] == "application/json"
