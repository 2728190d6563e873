"""Demo: what `make run` shows: a company of local models answers one question, then keeps serving."""

from pathlib import Path

from rich.console import Console

import actors
from actors.config.file import load_config
from actors.edge.http_client import GatewayClient
from actors.edge.screens import ensemble_table
from actors.providers.catalogue_view import pull_with_progress
from actors.server import Server, own_stdout, until_stopped

QUESTION = "What is 17 + 28? Reply with the number only."  # 45: small enough for the smallest, checkable by anyone
MODEL = "company"


def play(small: bool, port: int | None, console: Console) -> None:
    """Fetches the weights, starts the gateway, asks, prints a table, and serves until it is told to stop."""
    config = load_config(example_config("demo-small.yaml" if small else "demo.yaml")).served_at(None, port)
    gateway_to_be = Server(config, Path.cwd())
    gateway_to_be.check_port()
    weights = [b.model.removeprefix("catalogue:") for b in config.backends.values() if b.provider == "llama_cpp"]
    pull_with_progress(weights)
    with own_stdout() as out, until_stopped():
        shown = Console(file=out, width=console.width)
        shown.print(f"Starting Ray, the gateway and {len(weights)} models, each in an actor of its own ...")
        with gateway_to_be as server:
            with GatewayClient(server.url) as gateway:
                shown.print(ensemble_table(QUESTION, gateway.complete(MODEL, QUESTION, max_tokens=200, temperature=0)))
            print(f"READY {server.url}", file=out, flush=True)
            shown.print(_try_it(server.url), highlight=False, markup=False, soft_wrap=True)
            server.wait()


def example_config(name: str) -> Path:
    """A configuration that ships with the project: in `cluster/` of a checkout, or inside the installed package."""
    package = Path(actors.__file__).parent
    for folder in (package / "cluster", package.parent / "cluster"):
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(name)


def _try_it(url: str) -> str:
    return f"""
Try it from another terminal (Ctrl-C here stops everything):

  curl -s {url}/v1/chat/completions -H 'content-type: application/json' \\
    -d '{{"model": "{MODEL}", "messages": [{{"role": "user", "content": "{QUESTION}"}}]}}'

  from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key="none")
  reply = client.chat.completions.create(
      model="{MODEL}", messages=[{{"role": "user", "content": "{QUESTION}"}}])
  print(reply.choices[0].message.content, reply.model_extra["troupe"]["ensemble"]["confidence_01"])
"""
