"""How are a gateway and an instant upstream set up for a measurement, put under load, and looked at from outside?"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.running_gateway import RunningGateway

ROOT = Path(__file__).parents[1]
START_WITHIN_S = 300.0
WRK_SCRIPT = Path(__file__).with_name("wrk.lua")
CALLERS_KEY = "sk-benchmark"


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw: latencies in ms over all requests; `refused`: answers that were no success, `broken`: none came."""

    requests: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    refused: int
    broken: int

    @property
    def per_s(self) -> float:
        return self.requests / self.seconds

    @property
    def errors(self) -> int:
        return self.refused + self.broken


@contextmanager
def upstream(delay_ms: tuple[float, float] | None = None) -> Iterator[str]:
    """The base URL of an upstream that gives the same completion to everything, at once or within `delay_ms`."""
    command = [sys.executable, "-m", "actors.benching.upstream"]
    if delay_ms is not None:
        command += ["--delay-ms", *map(str, delay_ms)]
    # A session of its own: Ctrl-C reaches us alone, and we end it.
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline().split()
        if not said:
            raise SystemExit("The instant upstream did not start; its own words are above.")
        yield said[-1]
    finally:
        process.terminate()
        process.communicate(timeout=10)


@contextmanager
def gateway(
    base_url: str,
    backends: int = 1,
    replicas: int = 1,
    strategy: str = "least_busy",
    sections: Mapping[str, object] | None = None,
) -> Iterator[RunningGateway]:
    """A gateway whose model `company` has so many backends, all of them the same upstream; all is switched on.

    `sections`: further ones of its configuration.
    """
    names = [f"b{n}" for n in range(backends)]
    backend = {
        "provider": "openai",
        "base_url": base_url,
        "model": "instant",
        "api_key": "sk-upstream",
        "max_concurrency": 1024,
        "price": {"input_per_mtok": 0.15, "output_per_mtok": 0.60},
    }
    config = {
        "server": {"replicas": replicas, "api_keys": [{"key": CALLERS_KEY, "name": "benchmark"}]},
        "backends": dict.fromkeys(names, backend),
        "models": {"company": {"strategy": strategy, "members": names}},
        **(sections or {}),
    }
    folder = Path(tempfile.mkdtemp(prefix="tb-"))
    path = folder / "config.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    running = RunningGateway(folder, path, api_key=CALLERS_KEY)
    try:
        yield running.start(START_WITHIN_S)
    finally:
        running.close()
        shutil.rmtree(folder, ignore_errors=True)


def load(url: str, seconds: float, connections: int, per_s: float = 0.0, body_bytes: int = 1000) -> Load:
    """Drives the model `company` with wrk for so long, at that rate (0: as fast as answers come)."""
    needed("wrk")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "30s", "-s", str(WRK_SCRIPT)]
    command += [f"{url}/v1/chat/completions", "--", "company", f"{per_s:.3f}", CALLERS_KEY, str(body_bytes)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=True).stdout
    return Load(**json.loads(said.splitlines()[-1]))


def needed(program: str) -> None:
    """Raises `SystemExit` when a program is not installed."""
    if shutil.which(program) is None:
        raise SystemExit(f"This measurement needs {program}; on Debian: apt-get install {program}")


# ---- looking at processes ----


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """One process at one moment: CPU seconds since its start, and its proportional set size in MB."""

    pid: int
    role: str
    cpu_s: float
    pss_mb: float


def uses(running: RunningGateway, with_memory: bool = True) -> list[ProcessUse]:
    """Every process of a gateway. Memory that several share is divided among them, so that a sum counts it once."""
    found = []
    for process in (psutil.Process(running.pid), *running.survivors()):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            pss_mb = process.memory_full_info().pss / 1e6 if with_memory else 0.0
            found.append(ProcessUse(process.pid, role_of(process), times.user + times.system, pss_mb))
    return found


def role_of(process: psutil.Process) -> str:
    """What a process is in the company: `Router`, `Backend`, `ServeReplica`, or the name of its program."""
    command = process.cmdline() or [process.name()]
    title = command[0].split()[0]
    if title.startswith("ray::"):
        return title.removeprefix("ray::").split(":")[0].split(".")[0]
    if "serve" in command:
        return "troupe"
    script = next((Path(word).stem for word in command[1:] if word.endswith(".py")), None)
    return script or Path(title).name


def cpu_by_role(before: Sequence[ProcessUse], after: Sequence[ProcessUse]) -> dict[str, float]:
    """CPU seconds that each role used in between, most first; processes that are only in one of both count nothing."""
    began = {use.pid: use.cpu_s for use in before}
    used: dict[str, float] = {}
    for use in after:
        if use.pid in began:
            used[use.role] = used.get(use.role, 0.0) + use.cpu_s - began[use.pid]
    return dict(sorted(used.items(), key=lambda item: -item[1]))


def pss_by_role(now: Sequence[ProcessUse]) -> dict[str, float]:
    """Megabytes that each role holds, most first."""
    held: dict[str, float] = {}
    for use in now:
        held[use.role] = held.get(use.role, 0.0) + use.pss_mb
    return dict(sorted(held.items(), key=lambda item: -item[1]))


def machine() -> Mapping[str, object]:
    """What a figure should never be shown without."""
    return {"date": time.strftime("%Y-%m-%d"), "cores": psutil.cpu_count(), "load_before": psutil.getloadavg()[0]}
