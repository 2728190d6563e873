"""A Ray cluster of two nodes on this machine, in a process of its own: how is it started, changed and ended?

As a program it prints the cluster's address and its second node's raylet once both nodes are there, ends the second
node's processes for each line on its standard input, and everything when that closes.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.support.running_gateway import STOP_WITHIN_S

ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class TwoNodes:
    """The cluster as a test sees it. Both nodes have this machine's address; only their raylets tell them apart."""

    address: str
    second_raylet_pid: int
    temporary: Path
    _process: "subprocess.Popen[str]" = field(repr=False)

    def lose_second(self) -> None:
        """Ends the second node at once, with every process on it; returns when that is done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("lose\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "lost\n"

    def is_on_second(self, pid: int) -> bool:
        """Whether a worker process runs on the second node."""
        return self.second_raylet_pid in [parent.pid for parent in psutil.Process(pid).parents()]


@contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Two nodes for as long as the block lasts; nothing of them is left afterwards."""
    temporary = Path(tempfile.mkdtemp(prefix="tt-"))  # short: Ray's sockets live below it
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.two_nodes", str(temporary)],
        cwd=temporary,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    family: list[psutil.Process] = []
    try:
        assert process.stdout is not None
        address, raylet_pid = process.stdout.readline().split()
        yield TwoNodes(address, int(raylet_pid), temporary, process)
        family = psutil.Process(process.pid).children(recursive=True)
    finally:
        family = family or psutil.Process(process.pid).children(recursive=True)
        process.communicate(timeout=STOP_WITHIN_S)
        for survivor in psutil.wait_procs(family, timeout=5)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                survivor.kill()
        shutil.rmtree(temporary, ignore_errors=True)


def main() -> None:
    """Serves one `TwoNodes`."""
    own_output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever Ray prints
    from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
    from ray.cluster_utils import Cluster

    from actors.island.front import front_environment
    from actors.island.ports import reserve_block

    ensure_token_if_auth_enabled(None, create_token_if_missing=True)
    folder = Path(sys.argv[1])
    # As `troupe front` has it for each machine; here the two share one and must not meet.
    blocks = [reserve_block() for _ in range(2)]
    fronts = [front_environment(block, folder / f"node-{place}") for place, block in enumerate(blocks)]
    os.environ.update(fronts[0])
    shared: dict[str, Any] = {"object_store_memory": 80_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={**shared, "temp_dir": str(folder / "ray")})
    second = cluster.add_node(**shared, env_vars=fronts[1])
    (raylet,) = second.all_processes["raylet"]
    print(cluster.address, raylet.process.pid, file=own_output, flush=True)
    for _ in sys.stdin:
        cluster.remove_node(second, allow_graceful=False)
        print("lost", file=own_output, flush=True)
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
