"""Ten bad minutes: faults of all kinds, callers who leave, and processes that are killed, at a steady load.

    python -m tests.faults.storm --minutes 10

Ends with what was wrong: hangs, half answers as success, and what is still held when all is over: upstream requests,
connections, file descriptors, calls under way, memory.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console

from tests.faults.cases import FAULTS
from tests.faults.config import config
from tests.faults.judging import asked
from tests.faults.provider import FaultyProvider, faulty_provider
from tests.support.running_gateway import RunningGateway

PER_S = 20.0
LEAVING_01 = 0.1
KILL_EVERY_S = 15.0
LOOK_EVERY_S = 5.0
SETTLE_S = 90.0  # until memory is looked at
AT_REST_S = 40.0  # longer than unused connections are kept
WANTED = ("tracer", "optimizer", "router", "supervisor", "backend")

console = Console()


@dataclass(slots=True)
class Storm:
    """What has come of it so far. `worst` are verdicts that must not be; `held`: what the replica holds over time."""

    seen: Counter[str] = field(default_factory=Counter)
    worst: list[str] = field(default_factory=list)
    held: list[tuple[float, int, int, float]] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)


async def ask(storm: Storm, gateway: RunningGateway, rng: random.Random) -> None:
    """One question to one fault; now and then its caller leaves."""
    name = rng.choice(list(FAULTS))
    stream = rng.random() < 0.5 or not FAULTS[name].whole
    asking = asked(gateway.url, name, stream)
    if rng.random() < LEAVING_01:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asking, rng.uniform(0.01, 1.5))
        storm.seen["left"] += 1
        return
    verdict = await asking
    storm.seen[verdict.seen] += 1
    if verdict.seen in ("lie", "hang", "lost"):
        storm.worst.append(f"{name} {'stream' if stream else 'whole'}: {verdict.seen} ({verdict.detail})")


async def load(storm: Storm, gateway: RunningGateway, rng: random.Random, until_s: float) -> None:
    async with asyncio.TaskGroup() as callers:
        while time.monotonic() < until_s:
            callers.create_task(ask(storm, gateway, rng))
            await asyncio.sleep(rng.expovariate(PER_S))


async def kill(storm: Storm, gateway: RunningGateway, rng: random.Random, until_s: float) -> None:
    """Ends a process of the control plane now and then; those that carry requests are left to other tests."""
    while time.monotonic() + 2 * KILL_EVERY_S < until_s:
        await asyncio.sleep(KILL_EVERY_S)
        rows = await asyncio.to_thread(status, gateway)
        alive = [row for row in rows if row["kind"] in WANTED and row["state"] == "alive"]
        if alive:
            row = rng.choice(alive)
            storm.kills[row["kind"]] += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(row["pid"], signal.SIGKILL)


async def look(storm: Storm, gateway: RunningGateway, began_s: float, until_s: float) -> None:
    while time.monotonic() < until_s:
        await asyncio.sleep(LOOK_EVERY_S)
        storm.held.append((time.monotonic() - began_s, *holds(gateway)))


def status(gateway: RunningGateway) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = gateway.status()["actors"]
    except httpx.HTTPError:
        return []
    return rows


def holds(gateway: RunningGateway) -> tuple[int, int, float]:
    """The replica's file descriptors, its connections, and its memory in MB."""
    for process in gateway.survivors():
        with contextlib.suppress(psutil.Error):
            if "ServeReplica" in " ".join(process.cmdline()):
                return process.num_fds(), len(process.net_connections("tcp")), process.memory_info().rss / 1e6
    return 0, 0, 0.0


async def rage(minutes: float, seed: int) -> bool:
    """Whether all was well."""
    storm, rng = Storm(), random.Random(seed)
    async with faulty_provider() as provider:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "storm.yaml"
            path.write_text(config(provider.base_url, provider.tls_url))
            gateway = RunningGateway(Path(folder), path)
            try:
                await asyncio.to_thread(gateway.start)
                before = holds(gateway)
                began_s = time.monotonic()
                until_s = began_s + minutes * 60
                await asyncio.gather(
                    load(storm, gateway, rng, until_s),
                    kill(storm, gateway, rng, until_s),
                    look(storm, gateway, began_s, until_s),
                )
                await asyncio.sleep(AT_REST_S)
                return await asyncio.to_thread(told, storm, gateway, provider, before)
            finally:
                await asyncio.to_thread(gateway.close)


def told(storm: Storm, gateway: RunningGateway, provider: FaultyProvider, before: tuple[int, int, float]) -> bool:
    """Prints what was found."""
    in_flight = sum(row["in_flight"] for row in gateway.status()["backends"])
    fds, connections, _ = holds(gateway)
    settled = [memory for at_s, _, _, memory in storm.held if at_s > SETTLE_S] or [0.0]
    half = len(settled) // 2 or 1
    early, late = sum(settled[:half]) / half, sum(settled[half:]) / max(1, len(settled) - half)
    console.print(f"answers: {dict(storm.seen)}; kills: {dict(storm.kills)}", highlight=False)
    for line in storm.worst[:20]:
        console.print(line, highlight=False, style="red")
    console.print(
        f"at rest: {provider.open_requests} requests open upstream, {in_flight} calls under way, "
        f"{fds} file descriptors ({before[0]} before), {connections} connections ({before[1]} before); "
        f"memory of the replica: {early:.0f} MB in the first half, {late:.0f} MB in the second",
        highlight=False,
    )
    return not storm.worst and provider.open_requests == 0 and in_flight == 0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=10.0)
    arguments.add_argument("--seed", type=int, default=1)
    wanted = arguments.parse_args()
    raise SystemExit(0 if asyncio.run(rage(wanted.minutes, wanted.seed)) else 1)


if __name__ == "__main__":
    main()
