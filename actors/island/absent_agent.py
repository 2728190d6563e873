"""What stands where Ray insists on a dashboard agent, and says that there is none?

The raylet does not run without one and ends with it. This one writes what the real one writes when Ray is installed
without its dashboard, and sleeps: 4 MB instead of 78, and none of its second of processor time. Standard library only;
started as a script.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
NOT_IN_USE = "-1"

PR_SET_PDEATHSIG = 1


def tell_no_ports(session_folder: Path, node_id: str) -> None:
    """Writes the files that the raylet waits for; each appears as a whole."""
    for name in PORTS:
        path = session_folder / f"{name}_{node_id}"
        unfinished = path.with_suffix(".new")
        unfinished.write_text(NOT_IN_USE)
        os.replace(unfinished, path)


def main(session_folder: str, node_id: str) -> None:
    """Returns never; ends with the raylet, its parent."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the gateway's
    tell_no_ports(Path(session_folder), node_id)
    while os.getppid() != 1:
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
