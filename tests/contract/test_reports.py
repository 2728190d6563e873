"""What can be seen of a running gateway?"""

import httpx
import pytest

from tests.support.running_gateway import RunningGateway, wait_until

KINDS = {"supervisor", "tracer", "optimizer", "router", "backend", "ensemble"}


@pytest.mark.parametrize(("path", "status"), [("/livez", "alive"), ("/readyz", "ready")])
def test_health_is_told_to_everybody(gateway: RunningGateway, path: str, status: str) -> None:
    reply = httpx.get(gateway.url + path, trust_env=False, timeout=60)

    assert (reply.status_code, reply.json()) == (200, {"status": status})


def test_the_status_names_every_actor_with_its_own_process(gateway: RunningGateway) -> None:
    wait_until(gateway.all_alive, 30)
    told = gateway.status()

    assert told["namespace"] == "company"
    assert ":" in told["address"]
    assert {actor["kind"] for actor in told["actors"]} == KINDS
    assert {"name", "kind", "state", "pid", "node", "restarts", "uptime_s"} <= set(told["actors"][0])
    pids = [actor["pid"] for actor in told["actors"]]
    assert len(set(pids)) == len(pids) > 10
    assert {actor["state"] for actor in told["actors"]} == {"alive"}


def test_the_status_measures_every_backend(gateway: RunningGateway) -> None:
    gateway.post("right")

    def measured() -> bool:
        rows = {row["name"]: row for row in gateway.status()["backends"]}
        return rows["right"]["p50_ms"] is not None and rows["right"]["p95_ms"] >= rows["right"]["p50_ms"]

    wait_until(measured, 30)
    row = next(row for row in gateway.status()["backends"] if row["name"] == "right")
    assert set(row) == {"name", "provider", "breaker", "in_flight", "error_rate_01", "p50_ms", "p95_ms"}
    assert (row["provider"], row["breaker"], row["in_flight"], row["error_rate_01"]) == ("scripted", "closed", 0, 0)


def test_the_performance_report_counts_each_request_and_call(gateway: RunningGateway) -> None:
    def counted() -> tuple[int, int]:
        report = gateway.http.get("/api/performance-report").raise_for_status().json()
        calls = {row["name"]: row["count"] for row in report["backends"]}
        return report["requests"]["count"], calls.get("agreeing", 0)

    gateway.post("company")
    requests, calls = counted()

    gateway.post("company")

    assert counted() == (requests + 1, calls + 1)


def test_the_performance_report_says_what_fails_and_what_it_costs_us(gateway: RunningGateway) -> None:
    gateway.post("busy")

    report = gateway.http.get("/api/performance-report").raise_for_status().json()

    failing = {row["backend"]: row["errors"] for row in report["failing"]}
    assert failing["busy"]["rate_limit_exceeded"] >= 1
    assert report["overhead"]["p50_ms"] > 0
    assert report["dropped_records"] == 0


def test_the_errors_tell_what_failed_where_and_for_which_request(gateway: RunningGateway) -> None:
    request_id = gateway.post("busy", "a secret question").headers["x-troupe-request-id"]

    told = gateway.http.get("/api/errors").raise_for_status()

    counted = {(row["component"], row["code"], row["backend"]): row for row in told.json()["errors"]}
    assert counted["backend", "rate_limit_exceeded", "busy"]["windows"]["1m"] >= 1
    assert counted["ensemble", "rate_limit_exceeded", "busy"]["count"] >= 1
    assert request_id in [example["request_id"] for example in told.json()["recent"]]
    assert "secret question" not in told.text


def test_the_optimizer_tells_what_it_was_taught(gateway: RunningGateway) -> None:
    report = gateway.http.get("/api/optimizer").raise_for_status().json()

    assert report["feedback"]["acknowledged"] >= 0
    assert report["state"].startswith(str(gateway.folder))


def test_a_request_is_explained_billed_and_counted(gateway: RunningGateway) -> None:
    reply = gateway.post("right")

    explained = gateway.http.get(f"/explain/{reply.headers['x-troupe-request-id']}").raise_for_status().json()
    usage = gateway.http.get("/api/usage").raise_for_status().json()
    metrics = gateway.http.get("/metrics").raise_for_status().text

    assert [attempt["backend"] for attempt in explained["attempts"]] == ["right"]
    assert next(row for row in usage["models"] if row["model"] == "right")["requests"] >= 1
    assert 'troupe_operations_total{backend="right",component="backend",operation="call",outcome="ok"}' in metrics
    assert gateway.http.get("/explain/req_unknown").status_code == 404
