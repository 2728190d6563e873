"""Does one gateway carry requests on two machines, and does it go on when one of them is lost?"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.support.asking import asking
from tests.support.running_gateway import RunningGateway, wait_until
from tests.support.single import content
from tests.support.two_nodes import TwoNodes, two_nodes
from tests.support.upstream_thread import TEXT
from tests.unit.providers.upstream_server import UpstreamServer


@pytest.fixture
def nodes() -> Iterator[TwoNodes]:
    with two_nodes() as both:
        yield both


@pytest.fixture
def spread(nodes: TwoNodes, upstream: UpstreamServer, tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway with two replicas that has joined the cluster; its files are the cluster's."""
    config = tmp_path / "spread.yaml"
    config.write_text(
        f"ray: {{address: '{nodes.address}', namespace: spread}}\n"
        "server: {replicas: 2}\n"
        f"backends: {{far: {{provider: openai, base_url: '{upstream.base_url}', model: any}}}}\n"
    )
    gateway = RunningGateway(tmp_path, config, joins=True)
    try:
        yield gateway.start()
    finally:
        gateway.close()


def replicas(gateway: RunningGateway) -> list[int]:
    return [row["pid"] for row in gateway.status()["actors"] if row["kind"] == "ensemble"]


def has_called(pid: int, upstream: UpstreamServer) -> bool:
    """Whether a process holds a connection to the upstream: replicas open one when they carry a request."""
    port = urlsplit(upstream.base_url).port
    return any(known.raddr and known.raddr.port == port for known in psutil.Process(pid).net_connections("tcp"))


@pytest.mark.timeout(180)
def test_two_nodes_share_the_requests_and_one_answers_when_the_other_is_lost(
    nodes: TwoNodes, spread: RunningGateway, upstream: UpstreamServer
) -> None:
    wait_until(lambda: len(replicas(spread)) == 2, 30)
    first, second = sorted(replicas(spread), key=nodes.is_on_second)
    assert [nodes.is_on_second(pid) for pid in (first, second)] == [False, True]

    for _ in range(40):
        assert content(spread.post("far")) == TEXT
    assert has_called(first, upstream)
    assert has_called(second, upstream)

    nodes.lose_second()
    wait_until(lambda: not psutil.pid_exists(second), 10)

    wait_until(lambda: spread.post("far").status_code == 200, 30)
    with asking(spread, "far") as replies:
        wait_until(lambda: len(replies) > 60, 30)
    assert [reply.status_code for reply in replies[-30:]] == [200] * 30
    assert first in replicas(spread)
