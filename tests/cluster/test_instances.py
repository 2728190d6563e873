"""Is each gateway an island: own ports, own processes, and nothing of it left when it ends?"""

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.asking import asking, envelope
from tests.support.running_gateway import RunningGateway, run_troupe, wait_until
from tests.support.single import Start, single, start

__all__ = ["start"]  # a fixture


def own_addresses() -> list[str]:
    """This machine's IPv4 addresses that others can reach."""
    found = [address for addresses in psutil.net_if_addrs().values() for address in addresses]
    return [one.address for one in found if one.family == socket.AF_INET and not one.address.startswith("127.")]


def test_two_gateways_never_answer_for_each_other_and_one_that_is_killed_leaves_nothing(
    gateway: RunningGateway, start: Start, tmp_path: Path
) -> None:
    neighbour = start(single(tmp_path, "It is the neighbour"))
    wait_until(gateway.all_alive, 60)
    (replica,) = [row["pid"] for row in neighbour.status()["actors"] if row["kind"] == "ensemble"]

    with asking(neighbour, "only") as replies:
        os.kill(replica, signal.SIGKILL)
        wait_until(lambda: any(reply.status_code != 200 for reply in replies) or len(replies) > 500, 30)
        wait_until(lambda: replies[-1].status_code == 200, 40)

    said = [reply.json()["choices"][0]["message"]["content"] for reply in replies if reply.status_code == 200]
    assert set(said) == {"It is the neighbour"}
    assert all(envelope(reply) for reply in replies if reply.status_code != 200)
    assert neighbour.post("company").status_code == 404
    assert gateway.post("only").status_code == 404

    assert neighbour.survivors()
    neighbour.stop(signal.SIGKILL)

    wait_until(lambda: not neighbour.survivors(), 30)
    wait_until(lambda: neighbour.leftovers() == [], 30)
    with pytest.raises(httpx.ConnectError):
        neighbour.post("only")
    assert gateway.post("company").status_code == 200
    assert gateway.all_alive()


def test_a_gateway_that_is_told_to_stop_ends_cleanly_and_leaves_nothing(start: Start, tmp_path: Path) -> None:
    gateway = start(single(tmp_path, "yes"))
    gateway.post("only")

    returncode = gateway.stop(signal.SIGTERM, within_s=10)

    assert returncode == 0
    assert gateway.stdout == f"READY {gateway.url}\n"
    assert gateway.survivors() == []
    assert gateway.leftovers() == []


def test_a_running_request_is_answered_before_the_gateway_stops(start: Start, tmp_path: Path) -> None:
    config = tmp_path / "slow.yaml"
    config.write_text("backends:\n  only: {provider: scripted, script: {reply: slowly, delay_s: 2}}\n")
    gateway = start(config)

    with ThreadPoolExecutor() as pool:
        reply = pool.submit(gateway.post, "only")
        wait_until(lambda: gateway.in_flight("only") == 1, 20)
        os.kill(gateway.pid, signal.SIGINT)

    assert "slowly" in reply.result().text
    wait_until(lambda: gateway.returncode is not None, 30)
    assert gateway.returncode == 0


def test_a_port_in_use_is_told_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = str(single(tmp_path, "yes"))

        returncode, out, err = run_troupe("serve", "-c", config, "--port", str(port), folder=tmp_path)

    assert (returncode, out) == (1, "")
    assert f"127.0.0.1:{port} is in use" in err
    assert "Traceback" not in err


def test_a_gateway_on_loopback_is_not_reached_from_elsewhere(gateway: RunningGateway) -> None:
    port = gateway.url.rpartition(":")[2]

    for address in own_addresses():
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{address}:{port}/livez", trust_env=False, timeout=5)


def test_a_public_host_without_keys_is_refused(tmp_path: Path) -> None:
    config = str(single(tmp_path, "yes"))

    returncode, out, err = run_troupe("serve", "-c", config, "--host", "0.0.0.0", folder=tmp_path)

    assert (returncode, out) == (1, "")
    assert "api_keys" in err
