"""Do callers keep getting answers while parts of the company are killed, and does each part come back?"""

import os
import signal
from typing import Any

import httpx
import pytest

from tests.support.asking import asking, envelope
from tests.support.running_gateway import RunningGateway, wait_until

BACK_WITHIN_S = 10.0  # promised
HUNG_BACK_WITHIN_S = 40.0  # two probes of 2 s each are waited for before a hung process is replaced


def is_back(gateway: RunningGateway, before: dict[str, Any]) -> bool:
    """Whether the actor is alive again, in another process."""
    now = gateway.actor(before["name"])
    return bool(now) and now["state"] == "alive" and now["pid"] != before["pid"]


def degraded(replies: list[Any]) -> list[list[str]]:
    """The codes of what went wrong, for each answer that says that it is degraded."""
    ensembles = [reply.json()["troupe"]["ensemble"] for reply in replies]
    return [[failure["code"] for failure in one["failures"]] for one in ensembles if one["degraded"]]


def replicas(gateway: RunningGateway) -> set[int]:
    """The processes that carry requests; empty while there is none to ask."""
    try:
        return {row["pid"] for row in gateway.status()["actors"] if row["kind"] == "ensemble"}
    except httpx.HTTPError:
        return set()


def test_a_killed_backend_degrades_answers_and_is_back_soon(gateway: RunningGateway) -> None:
    wait_until(gateway.all_alive, 60)
    before = gateway.actor("backend:killed")

    with asking(gateway, "degraded") as replies:
        wait_until(lambda: gateway.in_flight("killed") > 0, 20, every_s=0.01)
        os.kill(before["pid"], signal.SIGKILL)
        wait_until(lambda: is_back(gateway, before), BACK_WITHIN_S)

    assert {reply.status_code for reply in replies} == {200}
    assert ["backend_unavailable"] in degraded(replies)
    assert gateway.actor("backend:killed")["restarts"] == before["restarts"] + 1
    wait_until(lambda: degraded([gateway.post("degraded")]) == [], BACK_WITHIN_S)


def test_a_request_whose_backend_is_killed_is_rescued_by_the_next(gateway: RunningGateway) -> None:
    wait_until(gateway.all_alive, 60)
    before = gateway.actor("backend:killed")

    with asking(gateway, "rescued") as replies:
        wait_until(lambda: gateway.in_flight("killed") > 0, 20, every_s=0.01)
        os.kill(before["pid"], signal.SIGKILL)
        wait_until(lambda: is_back(gateway, before), BACK_WITHIN_S)

    assert {reply.status_code for reply in replies} == {200}
    attempts = [[one["backend"] for one in reply.json()["troupe"]["attempts"]] for reply in replies]
    assert ["killed", "right"] in attempts


def test_a_hung_backend_is_replaced_while_others_answer(gateway: RunningGateway) -> None:
    wait_until(gateway.all_alive, 60)
    before = gateway.actor("backend:stopped")

    with asking(gateway, "patient") as replies:
        os.kill(before["pid"], signal.SIGSTOP)
        wait_until(lambda: is_back(gateway, before), HUNG_BACK_WITHIN_S)

    assert {reply.status_code for reply in replies} == {200}
    assert "right" in {reply.json()["troupe"]["backend"] for reply in replies}
    assert gateway.actor("backend:stopped")["restarts"] == before["restarts"] + 1
    assert gateway.post("stopped").status_code == 200


@pytest.mark.parametrize("name", ["router", "tracer", "optimizer", "supervisor"])
def test_requests_go_on_without_a_part_of_the_control_plane_until_it_is_back(
    gateway: RunningGateway, name: str
) -> None:
    wait_until(gateway.all_alive, 60)
    before = gateway.actor(name)

    with asking(gateway, "company") as replies:
        os.kill(before["pid"], signal.SIGKILL)
        wait_until(lambda: is_back(gateway, before), BACK_WITHIN_S)
        wait_until(gateway.all_alive, BACK_WITHIN_S)
        answered = len(replies)
        wait_until(lambda: len(replies) > answered, 30)

    assert {reply.status_code for reply in replies} == {200}
    assert degraded(replies) == []


def test_acknowledged_feedback_outlives_the_optimizers_process(gateway: RunningGateway) -> None:
    wait_until(gateway.all_alive, 60)
    request_id = gateway.post("right").json()["troupe"]["request_id"]
    assert gateway.http.post("/v1/feedback", json={"request_id": request_id, "correct": True}).status_code == 200
    acknowledged = gateway.acknowledged()
    before = gateway.actor("optimizer")

    os.kill(before["pid"], signal.SIGKILL)
    wait_until(lambda: is_back(gateway, before), BACK_WITHIN_S)

    assert gateway.acknowledged() == acknowledged > 0
    again = gateway.http.post("/v1/feedback", json={"request_id": request_id, "correct": True})
    assert again.json()["status"] == "repeated"


def test_the_status_is_told_while_the_supervisor_is_away(gateway: RunningGateway) -> None:
    wait_until(gateway.all_alive, 60)
    before = gateway.actor("supervisor")

    os.kill(before["pid"], signal.SIGSTOP)
    wait_until(lambda: gateway.states()["supervisor"] == "restarting", 10)

    assert gateway.post("company").status_code == 200
    wait_until(lambda: is_back(gateway, before), HUNG_BACK_WITHIN_S)


def test_a_killed_replica_is_replaced_and_callers_see_answers_or_our_errors(gateway: RunningGateway) -> None:
    wait_until(gateway.all_alive, 60)
    before = gateway.actor("ensemble")["pid"]

    with asking(gateway, "right") as replies:
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: replicas(gateway) - {before}, 40)
        wait_until(lambda: replies and replies[-1].status_code == 200, 20)

    refused = [reply for reply in replies if reply.status_code != 200]
    assert {reply.status_code for reply in refused} <= {502, 503}
    assert all(envelope(reply)["type"] == "server_error" for reply in refused)
    assert all(reply.headers["retry-after"] for reply in refused)
    wait_until(lambda: before not in replicas(gateway), 30)
