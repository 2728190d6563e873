"""The front: which settings Ray Serve gets, with HAProxy and without."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.island.front import ENABLED_VARIABLE, front_environment, haproxy_binary, launcher_path
from actors.island.ports import PortBlock, reserve_block


@pytest.fixture
def ports() -> Iterator[PortBlock]:
    block = reserve_block()
    yield block
    block.close()


def test_the_haproxy_that_ray_ships_and_our_launcher_are_found() -> None:
    binary, launcher = haproxy_binary(), launcher_path()

    assert binary is not None
    assert launcher is not None
    assert os.access(launcher, os.X_OK)


def test_every_port_that_collides_comes_from_the_instances_own_block(ports: PortBlock) -> None:
    environment = front_environment(ports)

    ours = [int(value) for name, value in environment.items() if name.endswith("PORT")]
    assert len(ours) == 8
    assert all(ports.base <= port < ports.base + 100 for port in ours)


def test_haproxys_files_go_into_the_instances_folder(ports: PortBlock) -> None:
    environment = front_environment(ports, Path("/tmp/one"))

    assert environment["RAY_SERVE_HAPROXY_CONFIG_FILE_LOC"] == "/tmp/one/h/haproxy.cfg"


def test_without_haproxy_serves_own_proxy_is_used_and_its_cost_is_named(
    ports: PortBlock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        environment = front_environment(ports, find_binary=lambda: None)

    assert ENABLED_VARIABLE not in environment
    assert "adds several milliseconds to every request" in caplog.text
