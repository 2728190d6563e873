"""Does a gateway under steady load grow, slow down or err?

python -m benchmarks.soak                             # 15 minutes at 70 % of the maximum
python -m benchmarks.soak --minutes 2 --settle-minutes 0.5

Finds the maximum by a short run of wrk as fast as it goes, then keeps a share of that rate; the pace is kept by
`wrk.lua`, from a clock, whatever the answers take. Every five seconds a sample is taken: what wrk saw, and the
proportional set size of every process. From the settling on, straight lines are put through memory and latency. Ctrl-C
ends it early with what it has. Exit status 0: no error, no growth. Needs wrk.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks import rig
from benchmarks.trend import LEAST_SAMPLES, Trend, trend
from tests.support.running_gateway import RunningGateway

CONNECTIONS = 64
WARM_UP_S = 5.0
MAXIMUM_S = 10.0
SAMPLE_S = 5.0
RATE_KEPT_01 = 0.95
S_PER_HOUR = 3600.0

console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)


@dataclass(frozen=True, slots=True)
class Sample:
    """Five seconds of load, and the memory at their end: MB per role of process. `at_s`: since the soak began."""

    at_s: float
    load: rig.Load
    pss_mb: Mapping[str, float]

    @property
    def total_mb(self) -> float:
        return sum(self.pss_mb.values())


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the result; `holds` is `None` where there was too little to tell."""

    question: str
    finding: str
    holds: bool | None


def soaked(running: RunningGateway, per_s: float, minutes: float, samples: list[Sample]) -> None:
    """Loads a gateway for so long, and adds each sample as it is taken, so that an early end keeps what there is."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < minutes * 60:
        seen = rig.load(running.url, SAMPLE_S, CONNECTIONS, per_s)
        sample = Sample(time.monotonic() - began_s, seen, rig.pss_by_role(rig.uses(running)))
        samples.append(sample)
        console.print(
            f"{sample.at_s:6.0f} s  {seen.per_s:6.0f}/s  p50 {seen.p50_ms:6.2f}  p95 {seen.p95_ms:6.2f}  "
            f"p99 {seen.p99_ms:7.2f} ms  {sample.total_mb:7.1f} MB  errors {seen.errors}",
            highlight=False,
        )


def judged(
    samples: Sequence[Sample], asked_per_s: float, settle_s: float, bound_mb_per_hour: float, bound_01: float
) -> list[Verdict]:
    """What the samples say: errors of all, trends of those after settling.

    A machine that does other work as well may not keep the rate; then latencies tell of that work.
    """
    refused = sum(sample.load.refused for sample in samples)
    broken = sum(sample.load.broken for sample in samples)
    requests = sum(sample.load.requests for sample in samples)
    kept = sum(sample.load.per_s >= RATE_KEPT_01 * asked_per_s for sample in samples)
    errors = (
        f"{refused} refused, {broken} broken of {requests:,}; the rate was kept in {kept} of {len(samples)} samples"
    )
    settled = [sample for sample in samples if sample.at_s > settle_s]
    return [
        Verdict("no error", errors, refused + broken == 0 if samples else None),
        _flat("memory", settled, lambda sample: sample.total_mb, "MB", bound_mb_per_hour),
        *(_steady(name, settled, bound_01) for name in ("p50_ms", "p95_ms", "p99_ms")),
    ]


def _steady(name: str, settled: Sequence[Sample], bound_01: float) -> Verdict:
    """Whether a latency stays: growth by less than that share of its median over the time that was measured."""

    def latency(sample: Sample) -> float:
        return float(getattr(sample.load, name))

    if len(settled) < LEAST_SAMPLES:
        return Verdict(f"{name} stays", "too few samples after settling", None)
    hours = (settled[-1].at_s - settled[0].at_s) / S_PER_HOUR
    return _flat(name, settled, latency, "ms", bound_01 * median(map(latency, settled)) / hours)


def _flat(
    name: str, settled: Sequence[Sample], value: Callable[[Sample], float], unit: str, bound_per_hour: float
) -> Verdict:
    question = f"{name} stays"
    if len(settled) < LEAST_SAMPLES:
        return Verdict(question, "too few samples after settling", None)
    found = _per_hour(settled, value)
    finding = (
        f"median {median(map(value, settled)):.2f} {unit}, {found.slope:+.2f} [{found.low:+.2f}, {found.high:+.2f}] "
        f"{unit}/hour; allowed: 0 within, or below {bound_per_hour:.2f}"
    )
    return Verdict(question, finding, found.may_be_flat or found.high < bound_per_hour)


def _per_hour(settled: Sequence[Sample], value: Callable[[Sample], float]) -> Trend:
    return trend([sample.at_s for sample in settled], list(map(value, settled))).scaled(S_PER_HOUR)


def show(verdicts: Sequence[Verdict], samples: Sequence[Sample], settle_s: float) -> None:
    """Prints the verdicts, and which processes grew or shrank most."""
    shown = Table("", "question", "finding", title="soak")
    for verdict in verdicts:
        mark = {True: "[green]holds[/]", False: "[red]FAILS[/]", None: "unknown"}[verdict.holds]
        shown.add_row(mark, verdict.question, verdict.finding)
    console.print(shown)
    settled = [sample for sample in samples if sample.at_s > settle_s]
    if len(settled) < LEAST_SAMPLES:
        return
    memory = Table("process", "MB at the end", "MB/hour", "95 % interval", title="memory by process")
    slopes = {role: _per_hour(settled, lambda one, of=role: one.pss_mb.get(of, 0.0)) for role in settled[-1].pss_mb}  # type: ignore[misc]
    for role, found in sorted(slopes.items(), key=lambda item: -item[1].slope):
        held = f"{settled[-1].pss_mb[role]:.1f}"
        memory.add_row(role, held, f"{found.slope:+.1f}", f"{found.low:+.1f} .. {found.high:+.1f}")
    console.print(memory)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Does a gateway under steady load grow, slow down or err?")
    arguments.add_argument("--minutes", type=float, default=15.0)
    arguments.add_argument("--settle-minutes", type=float, default=3.0, help="not looked at for trends")
    arguments.add_argument("--share", type=float, default=0.7, help="of the maximum rate")
    arguments.add_argument("--replicas", type=int, default=1)
    arguments.add_argument("--bound-mb-per-hour", type=float, default=20.0, help="growth that is let pass")
    arguments.add_argument("--bound-latency", type=float, default=0.1, help="share of the median, over the whole time")
    asked = arguments.parse_args()
    settle_s = asked.settle_minutes * 60
    samples: list[Sample] = []
    maximum_per_s = 0.0
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell may have had SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        with rig.upstream() as base_url, rig.gateway(base_url, replicas=asked.replicas) as running:
            rig.load(running.url, WARM_UP_S, CONNECTIONS)
            maximum_per_s = rig.load(running.url, MAXIMUM_S, CONNECTIONS).per_s
            console.print(f"maximum {maximum_per_s:.0f}/s; soaking at {asked.share * maximum_per_s:.0f}/s")
            soaked(running, asked.share * maximum_per_s, asked.minutes, samples)
    except KeyboardInterrupt:
        console.print("stopped early")
    except subprocess.CalledProcessError as error:
        console.print(f"wrk could not go on: {error.stderr or error.stdout}")
    verdicts = judged(samples, asked.share * maximum_per_s, settle_s, asked.bound_mb_per_hour, asked.bound_latency)
    show(verdicts, samples, settle_s)
    print(
        json.dumps(
            {
                "machine": rig.machine(),
                "maximum_per_s": maximum_per_s,
                "verdicts": list(map(asdict, verdicts)),
                "samples": list(map(asdict, samples)),
            }
        )
    )
    sys.exit(0 if all(verdict.holds for verdict in verdicts) else 1)


if __name__ == "__main__":
    main()
