"""How does one gateway get a Ray of its own that nothing else on the machine meets or outlives?"""

import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from actors.island import front, janitor
from actors.island.ports import PortBlock, reserve_block
from actors.protocol.clock import SYSTEM_CLOCK

PREFIX = "troupe-"
VITAL = {"gcs_server", "raylet"}
ABANDONED_AFTER_S = 60.0  # a folder younger than this may be about to be locked

# What Ray reads when it is imported, here and in every process that it starts.
RAY_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # The raylet's first call to its own object store now and then comes too early: by default it tries again after 1 s.
    "RAY_raylet_client_connect_timeout_milliseconds": "50",
    "RAY_raylet_client_num_connect_attempts": "200",
    # Ray puts its workers behind everything else on the machine; the replicas carry requests. See `living`.
    "RAY_worker_niceness": "0",
    # Figures that the dashboard's agent would collect, and which an instance of its own has not.
    "RAY_enable_metrics_collection": "0",
    "RAY_task_events_report_interval_ms": "0",
}


@dataclass(slots=True)
class Island:
    """An instance's name, folder, ports and janitor: folder and processes end with the process that holds them."""

    name: str
    folder: Path
    ports: PortBlock
    _janitor: subprocess.Popen[bytes] = field(repr=False)
    _lock_fd: int = field(repr=False)

    @classmethod
    def settle(cls) -> "Island":
        """Claims ports and a folder, sets the environment for Ray and Serve, and starts the janitor.

        Call before Ray is imported. Raises `LLMError` when no ports are free.
        """
        sweep_abandoned()
        ports = reserve_block()
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock_fd = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        name = secrets.token_hex(8)
        guardian = _start_janitor(name, folder, ports)
        os.environ[janitor.INSTANCE_VARIABLE] = name
        front.prepare_import(RAY_SETTINGS | front.front_environment(ports, folder))
        return cls(name, folder, ports, guardian, lock_fd)

    @property
    def ray_folder(self) -> Path:
        return self.folder / "ray"

    def leave(self) -> None:
        """Lets the janitor end what still runs and remove the folder; returns when it has."""
        if self._janitor.stdin is not None:
            self._janitor.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._janitor.wait(timeout=10)
        os.close(self._lock_fd)
        self.ports.close()


def vital_children() -> dict[int, str]:
    """The child processes without which nothing of this instance's Ray works: process id -> name."""
    return {pid: name for pid, name in _children() if name in VITAL}


def _children() -> Iterator[tuple[int, str]]:
    """Living children of this process; zombies are not among them."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            head, _, tail = (entry / "stat").read_text().rpartition(")")
            state, parent = tail.split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                yield int(entry.name), head.partition("(")[2]


def sweep_abandoned() -> None:
    """Removes folders of instances whose gateway and janitor were both killed: nobody holds their lock."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            lock_fd = os.open(folder / "lock", os.O_RDWR)
        except OSError:  # not ours, or not yet or no longer an instance's
            continue
        try:
            if SYSTEM_CLOCK.wall_s() - os.fstat(lock_fd).st_mtime < ABANDONED_AFTER_S:
                continue
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # in use
            pass
        finally:
            os.close(lock_fd)


def _start_janitor(name: str, folder: Path, ports: PortBlock) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C and a kill of the gateway's process group do not reach it.
    return subprocess.Popen(
        [sys.executable, "-IS", janitor.__file__, name, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=(ports.guard.fileno(),),  # the ports stay claimed until everything has ended
    )
