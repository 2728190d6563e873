"""On what machine was it measured?"""

import os
import platform
from collections.abc import Mapping
from pathlib import Path


def machine() -> Mapping[str, object]:
    """What no figure should be shown without. `load_before`: the machine's load average of the last minute."""
    return {
        "kernel": platform.release(),
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


def cpu_model(cpuinfo: str) -> str:
    """The name that /proc/cpuinfo gives, or the architecture where it gives none."""
    names = (line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name"))
    return next(names, platform.machine())
