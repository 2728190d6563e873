"""Is the bill the sum of what callers were told, whatever was killed while they asked?"""

import math
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.asking import asking
from tests.support.running_gateway import RunningGateway, wait_until
from tests.support.single import Start, start

__all__ = ["start"]  # a fixture

COMPANY = """
backends:
  cheap: {provider: scripted, script: {reply: "42"}, price: {input_per_mtok: 0.15, output_per_mtok: 0.60}}
  dear: {provider: scripted, script: {reply: "It is 42."}, price: {input_per_mtok: 333.3, output_per_mtok: 1000.7}}
models:
  both: {strategy: ensemble, members: [cheap, dear], merge: weighted_consensus}
"""
ENOUGH = 20  # answers on each side of a kill


def told_usd(replies: list[httpx.Response]) -> list[float]:
    """What each answered request has cost, by its reply."""
    assert {reply.status_code for reply in replies} == {200}
    return [reply.json()["troupe"]["cost_usd"] for reply in replies]


def told_by(gateway: RunningGateway, path: str) -> Any:
    """What the tracer tells there, as soon as it does: just after a kill it may not answer in time."""
    wait_until(lambda: gateway.http.get(path).status_code == 200, 10)
    return gateway.http.get(path).raise_for_status().json()


def billed(gateway: RunningGateway, model: str) -> tuple[int, float]:
    """How many requests to a model the gateway has on its bill, and what they have cost."""
    rows = told_by(gateway, "/api/usage")["models"]
    row = next(row for row in rows if row["model"] == model)
    return row["requests"], row["cost_usd"]


def expect_reported(gateway: RunningGateway, requests: int, cost_usd: float) -> None:
    """Fails unless the performance report speaks of so many requests and of what they have cost."""
    told = told_by(gateway, "/api/performance-report")["requests"]
    for figures in (told, told["windows"]["1h"]):  # the windows outlive their process as well
        assert figures["count"] == requests
        assert figures["cost_usd"] == pytest.approx(cost_usd, abs=1e-6)


def test_the_bill_is_the_sum_of_all_requests_after_the_tracer_and_then_everything_was_killed(
    start: Start, tmp_path: Path
) -> None:
    config = tmp_path / "company.yaml"
    config.write_text(f'{COMPANY}optimizer: {{state: "sqlite:///{tmp_path}/state.db"}}')
    first = start(config)
    wait_until(first.all_alive, 60)
    before = first.actor("tracer")

    with asking(first, "both") as replies:
        wait_until(lambda: len(replies) > ENOUGH, 30)
        os.kill(before["pid"], signal.SIGKILL)
        wait_until(lambda: first.actor("tracer").get("pid") not in (None, before["pid"]), 20)
        wait_until(first.all_alive, 20)
        asked = len(replies)
        wait_until(lambda: len(replies) > asked + ENOUGH, 30)
    told = told_usd(replies)
    requests, cost_usd = billed(first, "both")
    assert requests == len(told)
    assert cost_usd == pytest.approx(math.fsum(told), abs=1e-6)
    expect_reported(first, requests, cost_usd)

    first.kill_survivors()
    first.stop(signal.SIGKILL)
    second = start(config)
    told += told_usd([second.post("both") for _ in range(ENOUGH)])

    assert min(told) > 0.001  # far more than any rounding: a request that is lost is seen
    requests, cost_usd = billed(second, "both")
    assert requests == len(told)
    assert cost_usd == pytest.approx(math.fsum(told), abs=1e-6)
    expect_reported(second, requests, cost_usd)
