"""Is any judgement lost that was acknowledged, however often the optimizer's process is killed?"""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.running_gateway import RunningGateway, wait_until
from tests.support.single import Start, single, start

__all__ = ["start"]  # a fixture

CALLS = 2_000
CALLERS = 8
KILLS_AT = (400, 1_200)  # acknowledged judgements


def judge(gateway: RunningGateway, request_id: str) -> str | None:
    """What the gateway says of a judgement, asked up to 20 times; None unless it was acknowledged."""
    for _ in range(20):
        reply = gateway.http.post("/v1/feedback", json={"request_id": request_id, "correct": True})
        if reply.status_code == 200:
            return str(reply.json()["status"])
        assert reply.status_code in (404, 502, 503, 504), reply.text
    return None


@pytest.mark.timeout(300)
def test_no_acknowledged_feedback_is_lost_when_the_optimizer_is_killed_twice(start: Start, tmp_path: Path) -> None:
    config = single(tmp_path, "42")
    config.write_text(f'{config.read_text()}optimizer: {{state: "sqlite:///{tmp_path}/state.db"}}\n')
    gateway = start(config)
    wait_until(gateway.all_alive, 60)
    acknowledged: list[str] = []

    def call(request_id: str) -> None:
        if judge(gateway, request_id):
            acknowledged.append(request_id)

    with ThreadPoolExecutor(CALLERS) as callers:
        asked = callers.map(lambda _: gateway.post("only").json()["troupe"]["request_id"], range(CALLS))
        calls = [callers.submit(call, request_id) for request_id in list(asked)]
        for kill_at in KILLS_AT:
            wait_until(lambda at=kill_at: len(acknowledged) >= at, 60, every_s=0.01)  # type: ignore[misc]
            before = gateway.actor("optimizer")
            os.kill(before["pid"], signal.SIGKILL)
            wait_until(lambda pid=before["pid"]: gateway.actor("optimizer").get("pid") not in (None, pid), 20)  # type: ignore[misc]
        for done in calls:
            done.result()
        wait_until(gateway.all_alive, 20)
        again = list(callers.map(lambda request_id: judge(gateway, request_id), acknowledged))

    assert len(acknowledged) > KILLS_AT[-1]
    assert set(again) == {"repeated"}
    assert gateway.acknowledged() >= len(acknowledged)
