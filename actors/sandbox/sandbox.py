"""How is a stranger's code run without harm, and what came of it?"""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

import orjson

from actors.protocol.trials import NotTried, Trial, TrialResult, Tried

CELL = Path(__file__).with_name("cell.py")
READY = b"ready\n"
REASON_BYTES = 500

PROBE = Trial("", ("answer = 42",), ("assert answer == 42",))


class Sandbox:
    """Runs code in processes that can reach nothing: see `cell.py` for the walls.

    One trial takes `time_s` at most, as much CPU time, and `memory_mb` of address space; `processes` run at once, the
    others wait. Where a wall cannot be had, nothing is run and the result says so.
    """

    def __init__(self, time_s: float = 5.0, memory_mb: int = 256, processes: int = 2) -> None:
        self._time_s = time_s
        self._memory_mb = memory_mb
        self._places = asyncio.Semaphore(processes)

    async def try_out(self, trial: Trial) -> TrialResult:
        """How many of the checks the code passes. Cancelled, it leaves no process behind."""
        async with self._places:
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-I", "-S", "-B", str(CELL)),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=DEVNULL,
                    env={},
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                return NotTried(f"no process can be started: {error.strerror}")
            try:
                told = await self._told(process, trial)
            finally:
                await _ended(process)
        return _result(told, len(trial.checks))

    async def unavailable_because(self) -> str | None:
        """Why code cannot be run here; `None` where it can."""
        tried = await self.try_out(PROBE)
        if isinstance(tried, NotTried):
            return tried.reason
        return None if tried.passed == tried.of else "the simplest program does not pass"

    async def _told(self, process: Process, trial: Trial) -> bytes:
        """What the process says until it ends or its time is over, and not more than it may."""
        job = {
            "prelude": trial.prelude,
            "programs": trial.programs,
            "checks": trial.checks,
            "time_s": self._time_s,
            "cpu_s": max(1, round(self._time_s)),
            "memory_bytes": self._memory_mb << 20,
        }
        if process.stdin is None or process.stdout is None:
            raise AssertionError("Both were asked for.")
        told = b""
        most = len(READY) + max(len(trial.checks), REASON_BYTES)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._time_s):
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has ended already
                    process.stdin.write(orjson.dumps(job))
                    await process.stdin.drain()
                process.stdin.close()
                while len(told) <= most and (piece := await process.stdout.read(most)):
                    told += piece
        return told


def _result(told: bytes, n_checks: int) -> TrialResult:
    if told.startswith(b"!"):
        return NotTried(f"the sandbox cannot be had: {told[1:REASON_BYTES].decode(errors='replace')}")
    if not told.startswith(READY):
        return NotTried("the sandbox did not start in time")
    verdicts = told.removeprefix(READY)
    # One that says more than it was asked has written the verdict itself.
    return Tried(verdicts.count(b"1") if len(verdicts) <= n_checks else 0, n_checks)


async def _ended(process: Process) -> None:
    """Kills the process with all its descendants, who cannot leave its group, and waits for its end."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
