"""Shows what a gateway makes of a provider's faults, beside a proxy that only passes them on.

python -m tests.faults                    # ours, and the proxy
python -m tests.faults serve --port 9800  # the provider alone, for another gateway
python -m tests.faults config             # our configuration for it
FAULTS_URL=http://127.0.0.1:8000 pytest tests/faults    # another gateway, judged
"""

import argparse
import asyncio
import contextlib
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from rich.console import Console
from rich.table import Table

from actors.benching.passthrough import Passthrough
from tests.faults.cases import FAULTS
from tests.faults.config import config
from tests.faults.judging import Verdict, all_asked
from tests.faults.provider import FaultyProvider, faulty_provider
from tests.support.running_gateway import RunningGateway

COLUMNS = ["fault", "wanted", "Troupe: stream", "whole", "pass-through: stream", "whole"]
Verdicts = dict[tuple[str, bool], Verdict]


async def of_ours(provider: FaultyProvider) -> Verdicts:
    """What our own gateway makes of them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "faults.yaml"
        path.write_text(config(provider.base_url, provider.tls_url))
        gateway = RunningGateway(Path(folder), path)
        try:
            await asyncio.to_thread(gateway.start)
            return await all_asked(gateway.url)
        finally:
            await asyncio.to_thread(gateway.close)


async def of_a_proxy(provider: FaultyProvider) -> Verdicts:
    """What is left of them when they are passed on as they are."""
    settings = uvicorn.Config(Passthrough(provider.base_url), log_level="critical", lifespan="off")
    server = uvicorn.Server(settings)
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listening]))
    try:
        return await all_asked(f"http://127.0.0.1:{listening.getsockname()[1]}")
    finally:
        server.should_exit = server.force_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await serving


def rows(ours: Verdicts, proxy: Verdicts) -> Iterator[list[str]]:
    """One per fault."""
    for name, fault in FAULTS.items():
        cells = [
            verdicts[name, stream].seen if (name, stream) in verdicts else ""
            for verdicts in (ours, {} if fault.tls else proxy)
            for stream in (True, False)
        ]
        yield [fault.about, fault.expected, *cells]


def shown(ours: Verdicts, proxy: Verdicts, as_markdown: bool) -> Table | str:
    """The table, for a screen or for a page."""
    if as_markdown:
        lines = [COLUMNS, ["---"] * len(COLUMNS), *rows(ours, proxy)]
        return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    table = Table(*COLUMNS)
    for cells in rows(ours, proxy):
        table.add_row(*cells)
    return table


async def compare(as_markdown: bool) -> None:
    async with faulty_provider() as provider:
        ours, proxy = await of_ours(provider), await of_a_proxy(provider)
    Console(width=150, soft_wrap=as_markdown).print(shown(ours, proxy, as_markdown))


async def serve(port: int) -> None:
    async with faulty_provider(port) as provider:
        print(provider.base_url, provider.tls_url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", nargs="?", choices=("compare", "serve", "config"), default="compare")
    arguments.add_argument("--port", type=int, default=9800)
    arguments.add_argument("--markdown", action="store_true")
    asked = arguments.parse_args()
    if asked.what == "config":
        sys.stdout.write(config(f"http://127.0.0.1:{asked.port}/v1", "https://127.0.0.1:9801/v1"))
    else:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(compare(asked.markdown) if asked.what == "compare" else serve(asked.port))


if __name__ == "__main__":
    main()
