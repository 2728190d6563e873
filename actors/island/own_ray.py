"""How is a Ray started that has no process more than one gateway needs?

`ray.init(address="local")` also starts a dashboard without a page, the agent that would feed it, an autoscaler's
monitor and a reader of log files, and waits for them; it has no switch for that. Here the head node is made as
`ray.init` makes it, without those four. No other module knows these private parts of Ray, and its version is pinned.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ray._private import services, utils
from ray._private.authentication.authentication_token_setup import (
    enable_token_auth_by_default,
    ensure_token_if_auth_enabled,
)
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._private.resource_isolation_config import ResourceIsolationConfig

from actors.island import absent_agent

OBJECT_STORE_BYTES = 128 * 1024 * 1024
AGENT_OPTION = "--dashboard_agent_command="


class HeadNode(Node):
    """Ray's head node without dashboard and dashboard agent."""

    def start_api_server(self, **_: object) -> None:
        self._webui_url = ""  # what other drivers look for

    def start_raylet(self, *arguments: Any, **options: Any) -> None:
        stand_in = [sys.executable, "-IS", absent_agent.__file__, str(self._session_dir), str(self._node_id)]

        def launch(command: Sequence[str], *arguments: Any, **options: Any) -> Any:
            return started(with_agent(command, stand_in), *arguments, **options)

        started = services.start_ray_process
        # Whether the agent's dependencies are there need not be found out: it takes half a second.
        with (
            _replaced(services, "start_ray_process", launch),
            _replaced(utils, "get_dashboard_dependency_error", _none),
        ):
            super().start_raylet(*arguments, **options)


def start_head(folder: Path, runtime_env_port: int) -> HeadNode:
    """A running head node below `folder`, whose `address` drivers connect to; end it with `end_head`.

    With `runtime_env_port` known beforehand the raylet need not wait for the agent that listens there.
    """
    enable_token_auth_by_default()
    ensure_token_if_auth_enabled(create_token_if_missing=True)
    parameters = RayParams(
        node_ip_address=str(services.get_node_ip_address()),  # type: ignore[no-untyped-call]
        temp_dir=str(folder),
        include_dashboard=False,
        include_log_monitor=False,  # type: ignore[arg-type]  # Ray's hint says str
        no_monitor=True,
        object_store_memory=OBJECT_STORE_BYTES,
        runtime_env_agent_port=runtime_env_port,
        resource_isolation_config=ResourceIsolationConfig(),
    )
    return HeadNode(parameters, head=True, shutdown_at_exit=False, spawn_reaper=True, ray_init_cluster=True)


def end_head(node: HeadNode) -> None:
    """Ends the node's processes, which end those that they started."""
    node.kill_all_processes(check_alive=False, allow_graceful=True)


def with_agent(command: Sequence[str], agent: Sequence[str]) -> list[str]:
    """The raylet's command with another program as the dashboard's agent."""
    option = AGENT_OPTION + subprocess.list2cmdline(agent)
    return [option if part.startswith(AGENT_OPTION) else part for part in command]


@contextlib.contextmanager
def _replaced(module: Any, name: str, value: object) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)


def _none() -> None:
    return None
