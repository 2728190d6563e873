"""How does a contestant fare under requests that come as fast as it answers?

The load comes from wrk, which costs a small part of what any contestant does.
"""

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from actors.benching.target import Target
from actors.protocol.errors import LLMError

SCRIPT = Path(__file__).with_name("load.lua")
REQUEST_TIMEOUT_S = 30
MARGIN_S = 40.0  # for the requests that run when the time is up


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw: latencies over all requests; `refused`: answers outside 2xx, `broken`: failures of a connection."""

    requests: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    refused: int
    broken: int

    @property
    def per_s(self) -> float:
        return self.requests / self.seconds

    @property
    def errors(self) -> int:
        return self.refused + self.broken


def need_wrk() -> None:
    """Raises `LLMError` when wrk is not installed."""
    if shutil.which("wrk") is None:
        raise LLMError("The benchmark needs the load generator wrk; on Debian and Ubuntu: apt-get install wrk")


def drive(target: Target, body: bytes, connections: int, seconds: int, at_least: int = 1) -> Load:
    """Sends the same request over so many connections for so many seconds (at least 1).

    Raises `LLMError` when wrk fails or sees fewer answers than `at_least`.
    """
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{REQUEST_TIMEOUT_S}s"]
        command += ["-s", str(SCRIPT), target.url, "--", file.name]
        command += [part for header in target.headers.items() for part in header]
        # A session of its own: Ctrl-C is ours to handle, and ends it by the exception.
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, start_new_session=True, timeout=seconds + MARGIN_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise LLMError(f"wrk did not end within {seconds + MARGIN_S:.0f} s.") from error
    if done.returncode != 0:
        raise LLMError(f"wrk failed with status {done.returncode}: {done.stderr.strip()[-300:]}")
    load = parsed(done.stdout)
    if load.requests < at_least:
        raise LLMError(f"There was no answer within {seconds} s ({load.broken} broken connections).")
    return load


def parsed(said: str) -> Load:
    """The line of JSON at the end of wrk's output. Raises `LLMError` when it is missing."""
    last = said.strip().rpartition("\n")[2]
    try:
        return Load(**json.loads(last))
    except (ValueError, TypeError) as error:
        raise LLMError(f"wrk said something unexpected: {last[-300:]!r}") from error


def wrk_version() -> str:
    """As wrk tells it, or `unknown`."""
    said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
    found = re.search(r"wrk \S*?([\d.]+\S*)", said.stdout + said.stderr)
    return found[1] if found else "unknown"
