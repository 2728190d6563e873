"""What is left of an instance that was killed, and who clears it away?

A small process of its own session that waits for the end of the gateway, however that comes, and then ends what still
runs under the instance's name and removes its folder. Standard library only; started as a script.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

INSTANCE_VARIABLE = "TROUPE_INSTANCE"

GRACE_S = 0.3  # the gateway is gone: nothing that still runs has anybody to answer to


def main(instance: str, folder: str) -> None:
    """Blocks until standard input ends (the gateway holds the other end), then clears up."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    while os.read(0, 4096):
        pass
    deadline = time.monotonic() + GRACE_S
    while any(survivors(instance)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for _ in range(20):
        killed = [_kill(pid) for pid in survivors(instance)]
        if not killed:
            break
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


def survivors(instance: str) -> Iterator[int]:
    """Processes, other than this one, that inherited the instance's name in their environment."""
    marker = f"{INSTANCE_VARIABLE}={instance}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        try:
            if marker in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)
        except OSError:  # ended meanwhile, or somebody else's
            continue


def _kill(pid: int) -> int:
    with contextlib.suppress(OSError):  # it ended by itself
        os.kill(pid, signal.SIGKILL)
    return pid


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
