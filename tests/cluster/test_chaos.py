"""Does the command that strikes one's own gateway tell what callers saw of it?"""

import json
import os
import subprocess

from tests.support.running_gateway import BIN, RunningGateway, wait_until


def chaos(gateway: RunningGateway, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "troupe"), "chaos", "--url", gateway.url, "--kind", "router", *arguments]
    environment = {**os.environ, "TROUPE_API_KEY": gateway.api_key or ""}
    return subprocess.run(
        command, env=environment, input=said, capture_output=True, text=True, timeout=100, check=False
    )


def test_chaos_tells_what_a_killed_actor_cost(gateway: RunningGateway) -> None:
    wait_until(gateway.all_alive, 60)
    before = gateway.actor("router")

    ended = chaos(gateway, "--model", "right", "--rate", "20", "--yes", "--json")

    assert ended.returncode == 0, ended.stderr
    (strike,) = json.loads(ended.stdout)
    assert (strike["actor"], strike["how"], strike["failed"], strike["lost"]) == ("router", "SIGKILL", 0, 0)
    assert strike["sent"] > 20
    assert 0 < strike["back_s"] < 10
    assert gateway.actor("router")["pid"] != before["pid"]


def test_chaos_does_nothing_without_leave(gateway: RunningGateway) -> None:
    wait_until(gateway.all_alive, 60)
    before = gateway.actor("router")

    assert chaos(gateway, said="n\n").returncode == 0

    assert gateway.actor("router")["pid"] == before["pid"]
