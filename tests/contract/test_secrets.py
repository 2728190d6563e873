"""Can anybody read a key out of the gateway?"""

from tests.support.running_gateway import RunningGateway
from tests.unit.providers.upstream_server import UpstreamServer

READABLE = ["/api/status", "/api/optimizer", "/api/performance-report", "/v1/models", "/v1/models/far", "/livez"]


def secrets_in(text: str) -> list[str]:
    return [line for line in text.splitlines() if "sk-test-key" in line or "sk-wrong-guess" in line]


def test_no_reply_holds_a_key(gateway: RunningGateway, upstream: UpstreamServer) -> None:
    upstream.models_status = 401
    gateway.http.get("/v1/models", headers={"Authorization": "Bearer sk-wrong-guess"})
    replies = [gateway.http.get(path) for path in READABLE]
    replies += [gateway.post(model) for model in ("far", "broken", "doomed", "nobody", "company")]
    upstream.models_status = 200

    assert [secrets_in(reply.text + str(reply.headers)) for reply in replies] == [[]] * len(replies)


def test_no_output_and_no_log_holds_a_key(gateway: RunningGateway) -> None:
    gateway.post("far")
    logs = [path for path in gateway.temporary.rglob("*") if path.suffix in (".log", ".out", ".err", ".cfg")]

    assert len(logs) > 10
    assert secrets_in(gateway.stdout + gateway.stderr) == []
    assert [path for path in logs if secrets_in(path.read_text(errors="replace"))] == []


def test_what_was_learned_holds_no_words_of_a_caller(gateway: RunningGateway) -> None:
    gateway.post("echo", "Xylophone-4711, please.")
    gateway.http.get("/api/performance-report")
    state = [path for path in (gateway.folder / ".troupe").iterdir() if path.is_file()]

    assert state
    assert [path for path in state if b"Xylophone-4711" in path.read_bytes()] == []
