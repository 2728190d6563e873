"""What grows when replicas, backends, requests and rows become more, and what does not?

python -m benchmarks.scale                    # everything, about six minutes; tables, then one line of JSON
python -m benchmarks.scale messages --seconds 10
python -m benchmarks.scale --help

Everything is started here and has ended when this ends. It needs wrk. On a machine with two cores more
replicas are not faster: what is to be seen is that a request costs the same and that nothing breaks.
"""

import argparse
import json
import pickle
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table

from actors.routing.strategies import STRATEGIES, order
from actors.routing.table import RoutingTable
from benchmarks import rig
from benchmarks.micro.test_routing import table, view
from tests.support.running_gateway import RunningGateway

Row = dict[str, object]

CONNECTIONS = 64
REPLICAS = (1, 2, 4)
RATES_PER_S = (0, 100, 500, 1000)
BACKENDS = (3, 100)
ROWS = (100, 1_000)
MEMBERS = 100
TIMES = 50
SETTLES_S = 3.0
STARTED = ("Supervisor", "Router", "Optimizer", "Tracer", "Backend", "ServeReplica", "ServeController")

console = Console(stderr=True, width=None if sys.stderr.isatty() else 150)


# ---- replicas ----


def measure_replicas(seconds: float) -> list[Row]:
    """The same load on 1, 2 and 4 replicas: throughput, latency, and what CPU a request costs where."""
    rows: list[Row] = []
    for replicas in REPLICAS:
        with rig.upstream() as base_url, rig.gateway(base_url, replicas=replicas) as running:
            rig.load(running.url, 2, CONNECTIONS)
            before = rig.uses(running)
            seen = rig.load(running.url, seconds, CONNECTIONS)
            after = rig.uses(running)
        cpu_s = rig.cpu_by_role(before, after)
        rows.append(
            {
                "replicas": replicas,
                "per_s": round(seen.per_s),
                "p50_ms": seen.p50_ms,
                "p99_ms": seen.p99_ms,
                "errors": seen.errors,
                "cpu_us": round(sum(cpu_s.values()) / seen.requests * 1e6),
                "replica": round(cpu_s.get("ServeReplica", 0.0) / seen.requests * 1e6),
                "haproxy": round(cpu_s.get("haproxy", 0.0) / seen.requests * 1e6),
                "optimizer": round(cpu_s.get("Optimizer", 0.0) / seen.requests * 1e6),
                "tracer": round(cpu_s.get("Tracer", 0.0) / seen.requests * 1e6),
                "busiest_replica_01": round(_busiest_share_01(before, after), 2),
                "pss_mb": round(sum(use.pss_mb for use in after)),
            }
        )
    return rows


def _busiest_share_01(before: list[rig.ProcessUse], after: list[rig.ProcessUse]) -> float:
    """The share of all replicas' CPU time that the busiest one had: 1/n when the load is spread evenly."""
    began = {use.pid: use.cpu_s for use in before if use.role == "ServeReplica"}
    used = [use.cpu_s - began[use.pid] for use in after if use.pid in began]
    return max(used) / sum(used)


# ---- messages ----


def measure_messages(seconds: float) -> list[Row]:
    """Messages per second to each actor at several rates, as Ray counts the tasks that each process executed."""
    with rig.upstream() as base_url, rig.gateway(base_url) as running, _driver(running):
        return [_messages_at(running, per_s, seconds) for per_s in RATES_PER_S]


def _messages_at(running: RunningGateway, per_s: int, seconds: float) -> Row:
    if per_s:
        rig.load(running.url, 2, CONNECTIONS, per_s)
    began_s, before = time.monotonic(), executed_tasks()
    sent = rig.load(running.url, seconds, CONNECTIONS, per_s).per_s if per_s else 0.0
    if not per_s:
        time.sleep(seconds)
    after, taken_s = executed_tasks(), time.monotonic() - began_s
    per_role = dict.fromkeys(STARTED, 0.0)
    for use in rig.uses(running, with_memory=False):
        if use.role in per_role and use.pid in after:
            per_role[use.role] += (after[use.pid] - before.get(use.pid, 0)) / taken_s
    found: Row = {"asked_per_s": per_s, "sent_per_s": round(sent)}
    return found | {f"to_{role}": round(count, 1) for role, count in per_role.items()}


def executed_tasks() -> Mapping[int, int]:
    """How many tasks and actor calls each worker process of this Ray has executed since its start, by process id."""
    import ray
    from ray._private.internal_api import node_stats

    counts: dict[int, int] = {}
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    for node in nodes:
        stats: Any = node_stats(  # type: ignore[no-untyped-call]
            node["NodeManagerAddress"], node["NodeManagerPort"], include_memory_info=False
        )
        counts |= {worker.pid: worker.num_executed_tasks for worker in stats.core_workers_stats}
    return counts


@contextmanager
def _driver(running: RunningGateway) -> Iterator[None]:
    """This process as a driver on the gateway's Ray, for as long as the block lasts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray Serve, when it is imported, uses what pydantic has deprecated
        import ray

        from actors.client import connect
    connect(running.url, api_key=running.api_key)
    try:
        yield
    finally:
        ray.shutdown()


# ---- backends ----


def measure_backends(seconds: float) -> list[Row]:
    """A model over 3 and over 100 backends, each with its actor: start, memory, latency, the gateway's own time."""
    rows: list[Row] = []
    for backends in BACKENDS:
        began_s = time.monotonic()
        with rig.upstream() as base_url, rig.gateway(base_url, backends=backends) as running:
            ready_s = time.monotonic() - began_s
            time.sleep(SETTLES_S)
            idle_before = rig.uses(running)
            time.sleep(seconds)
            idle_after = rig.uses(running, with_memory=False)
            rig.load(running.url, 2, 1)
            one = rig.load(running.url, seconds, 1)
            report = running.http.get("/api/performance-report").raise_for_status().json()
            many = rig.load(running.url, seconds, CONNECTIONS)
            rows.append(
                {
                    "backends": backends,
                    "ready_s": round(ready_s, 1),
                    "processes": len(idle_before),
                    "pss_mb": round(sum(use.pss_mb for use in idle_before)),
                    "idle_cpu_01": round(sum(rig.cpu_by_role(idle_before, idle_after).values()) / seconds, 2),
                    "p50_ms_at_1": one.p50_ms,
                    "p99_ms_at_1": one.p99_ms,
                    "per_s_at_64": round(many.per_s),
                    "errors": one.errors + many.errors,
                    "overhead_p50_ms": report["overhead"]["p50_ms"],  # the decision is a part of it
                }
            )
    return rows


# ---- rows ----


def measure_rows(_: float) -> list[Row]:
    """Routing tables of many rows (so many backends and as many models): to send, to install, to decide on."""
    return [_row_of(count) for count in ROWS]


def _row_of(count: int) -> Row:
    known = table("least_busy", count, MEMBERS)
    sent = pickle.dumps(known)
    return {
        "rows": count,
        "pickled_kb": round(len(sent) / 1e3),
        "first_pickle_ms": round(_median_ms(lambda unsent: pickle.dumps(unsent), lambda: replace(known)), 2),
        "next_pickle_ms": round(_median_ms(lambda _: pickle.dumps(known)), 4),
        "install_ms": round(_median_ms(lambda _: pickle.loads(sent).with_leases_of(known)), 2),
        "slowest_decision_us": round(max(_decision_us(strategy, count) for strategy in STRATEGIES), 1),
        "slowest_first_decision_us": round(max(_decision_us(s, count, first=True) for s in STRATEGIES), 1),
    }


def _decision_us(strategy: str, rows: int, *, first: bool = False) -> float:
    """The time of one decision; `first` on each of many tables, as after each publication."""
    known, here = table(strategy, rows, MEMBERS), view()
    model = known.models["m0"]
    return _median_ms(lambda on: order(model, on, here), lambda: replace(known) if first else known) * 1e3


def _median_ms(run: Callable[[RoutingTable], object], prepare: Callable[[], RoutingTable] | None = None) -> float:
    """The median time of `run`, on what `prepare` makes for it each time, which is not counted."""
    empty = RoutingTable(0, {}, {})
    taken_ms = []
    for _ in range(TIMES):
        prepared = prepare() if prepare else empty
        began_s = time.perf_counter()
        run(prepared)
        taken_ms.append((time.perf_counter() - began_s) * 1e3)
    return statistics.median(taken_ms)


# ---- all of it ----

PARTS: Mapping[str, Callable[[float], list[Row]]] = {
    "replicas": measure_replicas,
    "messages": measure_messages,
    "backends": measure_backends,
    "rows": measure_rows,
}


def show(part: str, rows: list[Row]) -> None:
    """Prints a part's rows as a table."""
    shown = Table(title=part)
    for name in rows[0]:
        shown.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        shown.add_row(*(f"{value:g}" if isinstance(value, float) else str(value) for value in row.values()))
    console.print(shown)


def main() -> None:
    arguments = argparse.ArgumentParser(description="What grows when there is more of everything?")
    arguments.add_argument("part", nargs="*", choices=[*PARTS, []], help="one or more of them; all by default")
    arguments.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    asked = arguments.parse_args()
    found: Row = {"machine": rig.machine()}
    for part in asked.part or PARTS:
        console.print(f"measuring {part} ...")
        rows = PARTS[part](asked.seconds)
        show(part, rows)
        found[part] = rows
    print(json.dumps(found))


if __name__ == "__main__":
    main()
