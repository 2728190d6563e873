"""What does tracing cost, and does the report tell what a load generator sees?

    python -m benchmarks.tracing_cost                    # about seven minutes

Two gateways that differ in `tracing.enabled` alone take short turns under the same load, and then two fresh ones, for
processes of the same program differ too: the ratio of their requests per second, and of their CPU per request, of each
round. Then a traced one's report is laid beside what wrk saw of the same requests. Needs wrk. Exit status 0: tracing
costs less than 3 % of the throughput, and the percentiles agree.
"""

import argparse
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

import httpx
from rich.console import Console
from rich.table import Table

from actors.evaluating.statistics import paired_bootstrap
from actors.tracing.histogram import RELATIVE_ERROR_01
from benchmarks import rig
from tests.support.running_gateway import RunningGateway

CONNECTIONS = 64
WARM_UP_S = 12.0  # until all records that are kept have their memory
MOST_LOST_01 = 0.03
DELAY_MS = (50.0, 500.0)  # so long that what the network, wrk and the gateway add does not count
STEADY_PER_S = 150.0
LEAST_US = 1.0  # of a role that is shown

console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of both: requests per second, and CPU in us per request of each role of process."""

    traced_per_s: float
    untraced_per_s: float
    traced_us: Mapping[str, float]
    untraced_us: Mapping[str, float]

    @property
    def lost_01(self) -> float:
        """The share of the throughput that tracing takes."""
        return 1 - self.traced_per_s / self.untraced_per_s


@dataclass(frozen=True, slots=True)
class Percentile:
    """What wrk saw, and what the report says of the same requests or of the calls behind them, in ms."""

    of: str
    name: str
    wrk_ms: float
    report_ms: float

    @property
    def apart_01(self) -> float:
        return self.report_ms / self.wrk_ms - 1


def turn(running: RunningGateway, seconds: float) -> tuple[float, dict[str, float]]:
    """Requests per second, and CPU in us per request of each role of process."""
    before = rig.uses(running, with_memory=False)
    seen = rig.load(running.url, seconds, CONNECTIONS)
    used = rig.cpu_by_role(before, rig.uses(running, with_memory=False))
    if seen.errors:
        raise SystemExit(f"{seen.errors} requests failed: this says nothing of tracing.")
    return seen.per_s, {role: cpu_s / seen.requests * 1e6 for role, cpu_s in used.items()}


def paired(traced: RunningGateway, untraced: RunningGateway, rounds: int, seconds: float) -> list[Round]:
    """So many turns of both, each first as often as the other."""
    found = []
    for number in range(rounds):
        turns = {}
        for name, running in [("on", traced), ("off", untraced)][:: 1 if number % 2 else -1]:
            turns[name] = turn(running, seconds)
        (on_per_s, on_us), (off_per_s, off_us) = turns["on"], turns["off"]
        found.append(Round(on_per_s, off_per_s, on_us, off_us))
        console.print(f"round {number + 1}: on {on_per_s:.0f}/s, off {off_per_s:.0f}/s", highlight=False)
    return found


def of_a_pair(rounds: int, seconds: float) -> list[Round]:
    """So many rounds of two gateways of their own."""
    with (
        rig.upstream() as base_url,
        rig.gateway(base_url) as traced,
        rig.gateway(base_url, sections={"tracing": {"enabled": False}}) as untraced,
    ):
        for running in (traced, untraced):
            rig.load(running.url, WARM_UP_S, CONNECTIONS)
        return paired(traced, untraced, rounds, seconds)


def percentiles(running: RunningGateway, seconds: float) -> list[Percentile]:
    """What wrk saw of a steady load, and what the gateway's report says of the same requests and of their backend."""
    seen = rig.load(running.url, seconds, CONNECTIONS, STEADY_PER_S)
    headers = {"Authorization": f"Bearer {rig.CALLERS_KEY}"}
    if seen.errors:
        raise SystemExit(f"{seen.errors} requests failed: wrk and the report count different ones.")
    report = httpx.get(f"{running.url}/api/performance-report", headers=headers).json()
    (backend,) = report["backends"]
    return [
        Percentile(of, name, getattr(seen, f"{name}_ms"), told[f"{name}_ms"])
        for of, told in (("requests", report["requests"]), ("backend", backend))
        for name in ("p50", "p95", "p99")
    ]


def show(rounds: Sequence[Round], compared: Sequence[Percentile]) -> None:
    """Prints both comparisons."""
    shown = Table("", "on", "off", title="tracing, medians")
    per_s = [(one.traced_per_s, one.untraced_per_s) for one in rounds]
    shown.add_row("requests/s", *(f"{median(side):.0f}" for side in zip(*per_s, strict=True)))
    shown.add_row("lost", f"{median(one.lost_01 for one in rounds):+.1%}", "")
    lost = paired_bootstrap([one.lost_01 for one in rounds], random.Random(len(rounds)))
    shown.add_row("lost, mean (95 %)", f"{lost.mean:+.1%} ({lost.low:+.1%} to {lost.high:+.1%})", "")
    sides = [[one.traced_us for one in rounds], [one.untraced_us for one in rounds]]
    shown.add_row("CPU us/request", *(f"{median(sum(us.values()) for us in side):.0f}" for side in sides))
    for role in sides[0][0]:
        on, off = (median(us.get(role, 0.0) for us in side) for side in sides)
        if max(on, off) >= LEAST_US:
            shown.add_row(f"  {role}", f"{on:.0f}", f"{off:.0f}")
    console.print(shown)
    title = "answers after {:.0f} to {:.0f} ms".format(*DELAY_MS)
    beside = Table("", "", "wrk ms", "report ms", "apart", title=title)
    for row in compared:
        beside.add_row(row.of, row.name, f"{row.wrk_ms:.2f}", f"{row.report_ms:.2f}", f"{row.apart_01:+.2%}")
    console.print(beside)


def main() -> None:
    arguments = argparse.ArgumentParser(description="What does tracing cost, and does the report tell the truth?")
    arguments.add_argument("--pairs", type=int, default=3)
    arguments.add_argument("--rounds", type=int, default=8, help="of each pair")
    arguments.add_argument("--seconds", type=float, default=3.0)
    asked = arguments.parse_args()
    rounds: list[Round] = []
    for number in range(asked.pairs):
        console.print(f"pair {number + 1}", highlight=False)
        rounds += of_a_pair(asked.rounds, asked.seconds)
    with rig.upstream(DELAY_MS) as base_url, rig.gateway(base_url) as fresh:
        compared = percentiles(fresh, 8 * asked.seconds)
    show(rounds, compared)
    print(
        json.dumps(
            {"machine": rig.machine(), "rounds": list(map(asdict, rounds)), "percentiles": list(map(asdict, compared))}
        )
    )
    agree = all(abs(row.apart_01) <= RELATIVE_ERROR_01 for row in compared)
    sys.exit(0 if agree and median(one.lost_01 for one in rounds) < MOST_LOST_01 else 1)


if __name__ == "__main__":
    main()
