"""What does a gateway cost: to start, to ask, to hold in memory, and on top of an upstream that answers at once?

.venv/bin/python benchmarks/first_figures.py       # the models pulled; under a minute; a table, then JSON

Everything is started by this script in a temporary folder and has ended when it ends. Latencies are taken in pairs, in
turn straight from the upstream and through the gateway, so that whatever else the machine does falls on both alike.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import httpx
import psutil
from aiohttp import web

ROOT = Path(__file__).parents[1]
TROUPE = Path(sys.executable).parent / "troupe"
QUESTION = [{"role": "user", "content": "What is 17 + 28? Reply with the number only."}]
WARM_UP = 200
COMPLETION = {
    "object": "chat.completion",
    "model": "instant",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "45"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 1, "total_tokens": 21},
}


@contextmanager
def started(*command: str | Path) -> Iterator[tuple[str, psutil.Process]]:
    """A server, once it has printed its URL, and its process; it is stopped at the end."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process,
    ):
        try:
            said = process.stdout.readline().split() if process.stdout else []
            if not said:
                raise SystemExit(f"{command[0]} did not start; its own words are above.")
            yield said[-1], psutil.Process(process.pid)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()


def sizes_mb(url: str, server: psutil.Process) -> list[float]:
    """Proportional set sizes in MB: of the server, its children, and all that carry the instance's name.

    Memory that several processes share is divided among them, so that the sum counts it once.
    """
    name = httpx.get(f"{url}/livez", trust_env=False).headers["x-troupe-instance"]
    children = {server, *server.children(recursive=True)}
    sizes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process in children or process.environ().get("TROUPE_INSTANCE") == name:
                sizes.append(process.memory_full_info().pss / 1e6)
    return sizes


def measure_company() -> dict[str, float]:
    """Start, first merged answer and memory of the company in cluster/demo.yaml."""
    began_s = time.perf_counter()
    with started(TROUPE, "serve", "-c", ROOT / "cluster" / "demo.yaml", "--port", "0") as (url, server):
        ready_s = time.perf_counter() - began_s
        body = {"model": "company", "messages": QUESTION, "max_tokens": 200}
        asked_s = time.perf_counter()
        reply = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=120, trust_env=False).raise_for_status()
        answer_s = time.perf_counter() - asked_s
        print(f"The company says {reply.json()['choices'][0]['message']['content']!r}.", file=sys.stderr)
        sizes = sizes_mb(url, server)
    return {"ready_s": ready_s, "merged_answer_s": answer_s, "pss_mb": sum(sizes), "processes": len(sizes)}


def measure_overhead(pairs: int) -> dict[str, float]:
    """What the gateway adds to an instant upstream, at one connection; in milliseconds."""
    with started(sys.executable, __file__, "--be-upstream") as (upstream, _), tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "overhead.yaml"
        backend = {"provider": "openai", "base_url": f"{upstream}/v1", "model": "instant"}
        config.write_text(json.dumps({"backends": {"instant": backend}}))  # JSON is YAML
        with started(TROUPE, "serve", "-c", config, "--port", "0") as (url, _):
            taken_ms = asyncio.run(ask_in_turn((upstream, url), WARM_UP + pairs))[WARM_UP:]
    figures = {"pairs": float(pairs)}
    columns = zip(*[(direct, through, through - direct) for direct, through in taken_ms], strict=True)
    for side, values in zip(("direct", "through", "added"), columns, strict=True):
        figures[f"{side}_median_ms"] = statistics.median(values)
        figures[f"{side}_p95_ms"] = statistics.quantiles(values, n=20)[-1]
    return figures


async def ask_in_turn(urls: tuple[str, str], times: int) -> list[tuple[float, ...]]:
    """How long one completion took at each URL, in milliseconds, so many times; each has one connection."""

    async def ask(url: str) -> float:
        began_s = time.perf_counter()
        body = {"model": "instant", "messages": QUESTION}
        async with client.post(f"{url}/v1/chat/completions", json=body, raise_for_status=True) as reply:
            await reply.read()
        return (time.perf_counter() - began_s) * 1000

    async with aiohttp.ClientSession() as client:
        return [tuple([await ask(url) for url in urls]) for _ in range(times)]


async def be_upstream() -> None:
    """Answers every completion at once with the same words; prints its URL and serves until it is terminated."""

    async def complete(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response(COMPLETION)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    if sys.argv[1:] == ["--be-upstream"]:
        asyncio.run(be_upstream())
        return
    arguments = argparse.ArgumentParser(description="What does a gateway cost?")
    arguments.add_argument("--pairs", type=int, default=2000, help="of requests, for the overhead")
    pairs = arguments.parse_args().pairs
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "load_before": os.getloadavg()[0]}
    figures = {**measure_company(), **measure_overhead(pairs)}
    for name, value in figures.items():
        print(f"{name:20} {value:10,.2f}")
    print(json.dumps({"date": time.strftime("%Y-%m-%d"), **machine, **figures}))


if __name__ == "__main__":
    main()
