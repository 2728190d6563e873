"""What do all the processes of a contestant use together?

Linux only: everything is read from /proc. The processes of one contestant are those that inherited its mark in their
environment, and the descendants of the one that was started.
"""

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MARK_VARIABLE = "TROUPE_BENCH_CONTESTANT"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Family:
    """The process `root` and whatever it has started, whoever is its parent by now."""

    root: int
    mark: str

    def pids(self) -> set[int]:
        """Those that live now; zombies are not among them."""
        parents = dict(_parents())
        marker = f"{MARK_VARIABLE}={self.mark}".encode()
        found = {pid for pid in parents if pid == self.root or _has(pid, marker)}
        return found | _descendants(parents, found)

    def cpu_s(self) -> float:
        """CPU seconds, user and system, of all of them and of their children that have ended.

        Only differences mean something: a process that outlives its parent after ending unwaited is not counted.
        """
        return sum(_cpu_s(pid) for pid in self.pids())

    def pss_mb(self) -> float:
        """Proportional set size in MB (10^6 bytes): memory that several share is divided among them."""
        return sum(_pss_kib(pid) for pid in self.pids()) * 1024 / 1e6

    def kill(self) -> None:
        """Ends at once what still lives."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def stat_fields(text: str) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may itself hold spaces and parentheses: state, parent, ..."""
    return text.rpartition(")")[2].split()


def cpu_ticks(text: str) -> int:
    """Clock ticks of a process and of its ended children, from the text of /proc/PID/stat."""
    return sum(int(ticks) for ticks in stat_fields(text)[11:15])


def pss_kib(text: str) -> int:
    """KiB from the text of /proc/PID/smaps_rollup."""
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)


def _descendants(parents: Mapping[int, int], ancestors: Iterable[int]) -> set[int]:
    found: set[int] = set()
    newest = set(ancestors)
    while newest:
        newest = {pid for pid, parent in parents.items() if parent in newest} - found
        found |= newest
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = stat_fields((entry / "stat").read_text())[:2]
            if state != "Z":
                yield int(entry.name), int(parent)


def _has(pid: int, marker: bytes) -> bool:
    try:
        return marker in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # ended meanwhile, or somebody else's
        return False


def _cpu_s(pid: int) -> float:
    try:
        return cpu_ticks(Path(f"/proc/{pid}/stat").read_text()) / TICKS_PER_S
    except OSError:
        return 0.0


def _pss_kib(pid: int) -> int:
    try:
        return pss_kib(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except OSError:
        return 0
