"""Does a gateway find out by itself which way of asking helps, use it, and keep what it learned?"""

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.running_gateway import RunningGateway, wait_until
from tests.support.single import Start, start

__all__ = ["start"]  # a fixture

COMPANY = """
backends:
  hasty:
    provider: scripted
    script: {replies: [{match: "Take your time", text: "The answer is 391."}, {text: "The answer is 390."}]}
  b: {provider: scripted, script: {reply: "The answer is 391."}}
  c: {provider: scripted, script: {reply: "It is 391."}}
models:
  helper: {members: [hasty], rewrite: live}
  panel: {strategy: ensemble, members: [hasty, b, c], merge: majority_vote, quorum: 3, rewrite: shadow}
optimizer:
  state: "sqlite:///FOLDER/state.db"
  rewrite_share_01: 1.0
  patterns:
    patience: {template: "Take your time. {question}"}
    format: {enabled: false}
    expansion: {enabled: false}
    step_by_step: {enabled: false}
"""
QUESTION = "Compute 17 * 23 and give me the number."


def ask(gateway: RunningGateway, model: str) -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    reply = gateway.http.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def patterns(gateway: RunningGateway, asked: int) -> Counter[str]:
    return Counter(ask(gateway, "helper")["troupe"]["optimizer"]["pattern"] for _ in range(asked))


def gain(gateway: RunningGateway) -> dict[str, Any]:
    learned = gateway.http.get("/api/optimizer").json()["learned"]["patterns"]
    found: dict[str, Any] = learned.get("hasty", {}).get("math", {}).get("patience", {})
    return found


def test_what_an_ensemble_finds_out_beside_is_used_by_another_model_and_outlives_the_optimizer(
    start: Start, tmp_path: Path
) -> None:
    config = tmp_path / "company.yaml"
    config.write_text(COMPANY.replace("FOLDER", str(tmp_path)))
    gateway = start(config)
    wait_until(gateway.all_alive, 60)

    assert patterns(gateway, 50)["plain"] >= 40
    before_pid = gateway.actor("optimizer")["pid"]
    for _ in range(80):
        assert ask(gateway, "panel")["troupe"]["optimizer"]["pattern"] == "plain"
    wait_until(lambda: gain(gateway).get("safe"), 20)
    wait_until(lambda: patterns(gateway, 20)["patience"] >= 14, 20, every_s=1.0)

    os.kill(before_pid, signal.SIGKILL)
    trials = gain_after_restart(gateway, before_pid)["trials"]
    assert trials >= 10
    assert patterns(gateway, 20)["patience"] >= 10
    beside = [
        arm for arm in gateway.http.get("/api/optimizer").json()["outcomes"]["arms"] if arm["strategy"] == "shadow"
    ]
    assert {arm["pattern"] for arm in beside} == {"patience"}


def gain_after_restart(gateway: RunningGateway, before_pid: int) -> dict[str, Any]:
    wait_until(lambda: gateway.actor("optimizer").get("pid") not in (None, before_pid), 20)
    wait_until(gateway.all_alive, 30)
    return gain(gateway)
