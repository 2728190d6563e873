"""Does a caller who leaves stop the work that was begun for him?"""

from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.support.running_gateway import RunningGateway, wait_until
from tests.unit.providers.upstream_server import UpstreamServer

WITHIN_S = 15.0


def cancelled(gateway: RunningGateway, backend: str) -> int:
    """How many calls to a backend were given up so far."""
    rows: list[dict[str, Any]] = gateway.http.get("/api/performance-report").json()["backends"]
    return sum(int(row["cancelled"]) for row in rows if row["name"] == backend)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "backend"), [("endless", "endless"), ("waiting", "endless"), ("far", "far")])
def test_a_client_that_gives_up_before_the_answer_stops_the_backend(
    gateway: RunningGateway, model: str, backend: str, stream: bool
) -> None:
    before = cancelled(gateway, backend)
    patience = httpx.Timeout(10, read=1.5)
    body = {"model": model, "messages": [{"role": "user", "content": "hang"}], "stream": stream}

    with (
        pytest.raises(httpx.ReadTimeout),
        httpx.Client(trust_env=False, timeout=patience, headers=gateway.headers) as client,
    ):
        client.post(f"{gateway.url}/v1/chat/completions", json=body)

    wait_until(lambda: gateway.in_flight(backend) == 0, WITHIN_S)
    wait_until(lambda: cancelled(gateway, backend) == before + 1, WITHIN_S)


@pytest.mark.parametrize("model", ["endless", "far"])
def test_a_client_that_leaves_in_the_middle_of_a_stream_stops_the_backend(
    gateway: RunningGateway, client: OpenAI, model: str
) -> None:
    with client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "hang"}], stream=True
    ) as chunks:
        next(chunk for chunk in chunks if chunk.choices[0].delta.content)
        assert gateway.in_flight(model) == 1

    wait_until(lambda: gateway.in_flight(model) == 0, WITHIN_S)


def test_the_upstream_itself_sees_the_client_leave(client: OpenAI, upstream: UpstreamServer) -> None:
    with client.chat.completions.create(
        model="far", messages=[{"role": "user", "content": "hang"}], stream=True
    ) as chunks:
        next(iter(chunks))
        assert upstream.open_requests == 1

    wait_until(lambda: upstream.open_requests == 0, WITHIN_S)
