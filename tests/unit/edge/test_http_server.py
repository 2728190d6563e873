"""The app behind a real server, asked over real sockets and by the official client."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import openai
import pytest
import uvicorn

from actors.edge.exchange import LISTEN_AFTER_S
from actors.edge.http import HttpApp
from actors.protocol.errors import BackendTimeout, RateLimited
from tests.unit.edge.fake_gateway import FakeGateway, chunk

LIMIT = 100_000
PATIENCE_S = 10.0
ASKED: Any = [{"role": "user", "content": "What is 6 times 7?"}]
ASK = json.dumps({"model": "alpha", "messages": ASKED}).encode()
ASK_STREAM = json.dumps({"model": "alpha", "messages": ASKED, "stream": True}).encode()


@dataclass
class Served:
    gateway: FakeGateway
    port: int
    client: openai.OpenAI

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)


@contextmanager
def serving(gateway: FakeGateway, http: str) -> Iterator[Served]:
    app = HttpApp(gateway, [("ci", "secret-1")], LIMIT, instance="island-1")
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=http, ws="none", log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    port: int = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    try:
        with openai.OpenAI(base_url=url, api_key="secret-1", max_retries=0, timeout=PATIENCE_S) as client:
            yield Served(gateway, port, client)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listener.close()


@pytest.fixture(params=["httptools", "h11"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serving(FakeGateway(), request.param) as served:
        yield served


def post(body: bytes, *headers: str, key: str = "secret-1") -> bytes:
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: troupe", f"authorization: Bearer {key}", *headers]
    if not any(line.startswith("transfer-encoding") for line in headers):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def read_until(connection: socket.socket, ending: bytes) -> bytes:
    received = b""
    while not received.endswith(ending):
        piece = connection.recv(65_536)
        if not piece:
            break
        received += piece
    return received


def test_the_openai_client_gets_a_whole_answer(served: Served) -> None:
    reply = served.client.chat.completions.with_raw_response.create(model="alpha", messages=ASKED)

    assert reply.parse().choices[0].message.content == "42"
    assert reply.headers["x-troupe-request-id"].startswith("req_")


def test_the_openai_client_gets_a_stream(served: Served) -> None:
    stream = served.client.chat.completions.create(model="alpha", messages=ASKED, stream=True)

    assert "".join(part.choices[0].delta.content or "" for part in stream) == "42"


def test_the_openai_client_understands_our_errors(served: Served) -> None:
    served.gateway.failure = RateLimited("Slow down.", retry_after_s=2)

    with pytest.raises(openai.RateLimitError) as limited:
        served.client.chat.completions.create(model="alpha", messages=ASKED)
    with pytest.raises(openai.AuthenticationError):
        served.client.with_options(api_key="wrong").models.list()
    with pytest.raises(openai.NotFoundError) as unknown:
        served.client.models.retrieve("org/gama-1b")

    assert (limited.value.code, limited.value.response.headers["retry-after"]) == ("rate_limit_exceeded", "2")
    assert "Did you mean 'org/gamma-1b'" in unknown.value.message


def test_the_openai_client_raises_on_a_broken_stream(served: Served) -> None:
    served.gateway.events = [chunk("4"), BackendTimeout("It fell silent.")]
    stream = served.client.chat.completions.create(model="alpha", messages=ASKED, stream=True)

    with pytest.raises(openai.APIError, match="It fell silent") as broken:
        list(stream)

    assert broken.value.code == "timeout"


@pytest.mark.parametrize("body", [ASK, ASK_STREAM], ids=["whole", "stream"])
def test_a_client_that_hangs_up_stops_the_work(served: Served, body: bytes) -> None:
    served.gateway.hangs = True

    with served.connect() as connection:
        connection.sendall(post(body))
        if body is ASK_STREAM:
            assert b"200 OK" in read_until(connection, chunk("2", "stop") + b"\n\n\r\n")

    assert served.gateway.stopped.wait(PATIENCE_S)
    if body is ASK_STREAM:
        assert served.gateway.closed.wait(PATIENCE_S)


def test_a_client_that_hangs_up_in_the_middle_of_its_body_is_no_error(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    with served.connect() as connection:
        connection.sendall(post(ASK)[:-10])

    assert served.client.models.list().data
    assert served.gateway.requests == []
    assert caplog.records == []


def test_a_slow_answer_to_a_waiting_client_arrives(served: Served) -> None:
    served.gateway.pause_s = LISTEN_AFTER_S + 0.05

    stream = served.client.chat.completions.create(model="alpha", messages=ASKED, stream=True)

    assert "".join(part.choices[0].delta.content or "" for part in stream) == "42"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_sends_far_too_much_sees_the_413(served: Served, chunked: bool) -> None:
    filler = b"x" * 65_536
    headers = ["transfer-encoding: chunked"] if chunked else []
    head = post(filler * 500, *headers).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    with served.connect() as connection:
        connection.sendall(head)
        for _ in range(500):
            connection.sendall(b"10000\r\n%b\r\n" % filler if chunked else filler)
        connection.sendall(b"0\r\n\r\n" if chunked else b"")
        answer = read_until(connection, b"}}")
        rest = connection.recv(1)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"payload_too_large"' in answer
    assert rest == b""


def test_a_refused_request_leaves_the_connection_usable(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(post(b"x" * 90_000, key="wrong"))
        refused = read_until(connection, b"}}")
        connection.sendall(post(ASK))
        answered = read_until(connection, b"}}")

    assert refused.startswith(b"HTTP/1.1 401 ")
    assert b"www-authenticate: Bearer" in refused
    assert answered.startswith(b"HTTP/1.1 200 ")


def test_a_client_that_waits_for_continue_is_told_no_at_once(served: Served) -> None:
    with served.connect() as connection:
        head = post(b"x" * 1_000_000, "expect: 100-continue").partition(b"\r\n\r\n")[0]
        connection.sendall(head + b"\r\n\r\n")

        assert read_until(connection, b"}}").startswith(b"HTTP/1.1 413 ")
