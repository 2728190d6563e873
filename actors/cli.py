"""Command: `troupe`, what a person types.

Each command imports what it needs when it runs: Ray takes a second to import, and reads its settings while it does.
"""

import json
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from actors.protocol.errors import LLMError

DEFAULT_URL = "http://127.0.0.1:8000"

app = typer.Typer(
    help="Troupe: a company of models played as one.", no_args_is_help=True, pretty_exceptions_enable=False
)
models_app = typer.Typer(help="Local models: what the catalogue has, and fetching it.", invoke_without_command=True)
app.add_typer(models_app, name="models")
optimizer_app = typer.Typer(help="What was learned: shows it, writes it to a file, takes it over, forgets it.")
app.add_typer(optimizer_app, name="optimizer", invoke_without_command=True)

ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The gateway's configuration (YAML).")]
Url = Annotated[str, typer.Option("--url", help="A running gateway.", envvar="TROUPE_URL")]
Key = Annotated[str | None, typer.Option("--api-key", help="Its API key.", envvar="TROUPE_API_KEY", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

stdout = Console()
stderr = Console(stderr=True)


@app.command()
def serve(
    config: ConfigPath,
    host: Annotated[str | None, typer.Option(help="Instead of server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of server.port; 0 takes a free one.")] = None,
) -> None:
    """Starts the gateway, prints `READY http://HOST:PORT`, and serves until it is told to stop."""
    from actors.config.file import load_config
    from actors.config.notices import notices
    from actors.server import Server, own_stdout, until_stopped
    from actors.wiring import check_backend, sandbox_notices

    settings = load_config(config, check_backend).served_at(host, port)
    for notice in [*notices(settings), *sandbox_notices(settings)]:
        print(f"note: {notice}", file=sys.stderr)
    with own_stdout() as out, until_stopped(), Server(settings, Path.cwd()) as server:
        print(f"READY {server.url}", file=out, flush=True)
        server.wait()


@app.command()
def check(config: ConfigPath) -> None:
    """Reads a configuration and lists every problem in it; exit status 1 if there is one."""
    from actors.config.file import check_config, load_config
    from actors.config.notices import notices
    from actors.wiring import check_backend, sandbox_notices

    problems = check_config(config, check_backend)
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(1)
    settings = load_config(config)
    for notice in [*notices(settings), *sandbox_notices(settings)]:
        print(f"note: {notice}", file=sys.stderr)
    print(f"{config}: no problems")


@app.command()
def ask(
    text: Annotated[str, typer.Argument(help="The question; '-' reads it from standard input.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="A model or backend; default: the first.")] = None,
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Asks a running gateway and prints the answer as it comes."""
    from actors.edge.http_client import GatewayClient
    from actors.edge.screens import answer_facts

    question = sys.stdin.read() if text == "-" else text
    with GatewayClient(url, api_key) as gateway:
        model = model or gateway.models()[0]
        if as_json:
            stdout.print_json(data=gateway.complete(model, question))
            return
        told = None
        for piece, troupe in gateway.stream(model, question):
            print(piece, end="", flush=True)
            told = troupe or told
        print(flush=True)
        if told:
            stderr.print(answer_facts(told), style="dim", highlight=False)


@app.command()
def status(url: Url = DEFAULT_URL, api_key: Key = None, as_json: AsJson = False) -> None:
    """Who is in the company and in which state."""
    from actors.edge.http_client import GatewayClient
    from actors.edge.screens import status_tables

    with GatewayClient(url, api_key) as gateway:
        told = gateway.get("/api/status")
    if as_json:
        stdout.print_json(data=told)
    else:
        stdout.print(*status_tables(told), sep="\n")


@app.command()
def report(
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Anew every second, until Ctrl-C.")] = False,
    recent: Annotated[int, typer.Option(min=0, max=10_000, help="Name so many failed and slow requests.")] = 5,
) -> None:
    """What is slow and what fails: counts, errors and latencies since the start, and the worst by name."""
    from actors.edge.http_client import GatewayClient
    from actors.edge.screens import errors_table, report_tables, watched

    path = f"/api/performance-report?recent={recent}"
    with GatewayClient(url, api_key) as gateway:
        if watch and not as_json:
            watched(lambda: report_tables(gateway.get(path)), stdout)
            return
        told = gateway.get(path)
        failed = gateway.get("/api/errors")
    if as_json:
        stdout.print_json(data={**told, "errors": failed})
    else:
        stdout.print(*report_tables(told), errors_table(failed), sep="\n")


@optimizer_app.callback()
def optimizer(context: typer.Context, url: Url = DEFAULT_URL, api_key: Key = None, as_json: AsJson = False) -> None:
    """What feedback has taught about each backend, and how much was recorded."""
    if context.invoked_subcommand is not None:
        return
    from actors.edge.http_client import GatewayClient
    from actors.edge.screens import optimizer_tables

    with GatewayClient(url, api_key) as gateway:
        told = gateway.get("/api/optimizer")
    if as_json:
        stdout.print_json(data=told)
    else:
        stdout.print(*optimizer_tables(told), sep="\n")


@optimizer_app.command("export")
def export_learning(file: Path, url: Url = DEFAULT_URL, api_key: Key = None) -> None:
    """Writes the latest 10,000 judgements to a file."""
    from actors.edge.http_client import GatewayClient

    with GatewayClient(url, api_key) as gateway:
        told = gateway.get("/api/optimizer/export")
    file.write_text(json.dumps(told), "utf-8")
    print(f"{len(told['judgements'])} judgements written to {file}")


@optimizer_app.command("import")
def import_learning(file: Path, url: Url = DEFAULT_URL, api_key: Key = None) -> None:
    """Takes exported judgements over; those that are here already are passed over."""
    from actors.edge.http_client import GatewayClient

    try:
        judgements = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file} cannot be read as JSON: {type(error).__name__}") from None
    with GatewayClient(url, api_key) as gateway:
        print(f"{gateway.post('/api/optimizer/import', judgements)['imported']} judgements taken over")


@optimizer_app.command("reset")
def reset_learning(
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    yes: Annotated[bool, typer.Option("--yes", help="Without asking.")] = False,
) -> None:
    """Forgets all that was learned, for good."""
    from actors.edge.http_client import GatewayClient

    if not yes:
        typer.confirm("Forget all that was learned, for good?", abort=True)
    with GatewayClient(url, api_key) as gateway:
        gateway.post("/api/optimizer/reset", {})
    print("all that was learned is forgotten")


@app.command()
def usage(
    day: Annotated[str | None, typer.Option(help="Of this day alone (YYYY-MM-DD, UTC).")] = None,
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Requests, tokens and cost by model, key and day."""
    from actors.edge.http_client import GatewayClient
    from actors.edge.screens import usage_tables

    with GatewayClient(url, api_key) as gateway:
        told = gateway.get("/api/usage" + (f"?day={day}" if day else ""))
    if as_json:
        stdout.print_json(data=told)
    else:
        stdout.print(*usage_tables(told), sep="\n")


@app.command()
def explain(
    request_id: Annotated[str, typer.Argument(help="From `x-troupe-request-id` or the reply's `troupe` object.")],
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Why one of the last requests was answered that way."""
    from urllib.parse import quote

    from actors.edge.http_client import GatewayClient
    from actors.edge.screens import explanation_tables

    with GatewayClient(url, api_key) as gateway:
        told = gateway.get(f"/explain/{quote(request_id, safe='')}")
    if as_json:
        stdout.print_json(data=told)
    else:
        stdout.print(*explanation_tables(told), sep="\n")


@app.command()
def front() -> None:
    """Prints the settings of the fast HTTP front for a shell: `eval "$(troupe front)"` before Ray is started."""
    import shlex

    from actors.island.front import front_environment
    from actors.island.ports import reserve_block

    for name, value in front_environment(reserve_block()).items():
        print(f"export {name}={shlex.quote(value)}")


@app.command()
def demo(
    small: Annotated[bool, typer.Option("--small", help="Two small models instead of three.")] = False,
    port: Annotated[int | None, typer.Option(help="Instead of 8000; 0 takes a free one.")] = None,
) -> None:
    """Fetches small local models, asks them one question together, and keeps serving."""
    from actors.demo import play

    play(small=small or os.environ.get("TROUPE_DEMO") == "small", port=port, console=stdout)


@app.command()
def bench(
    peers: Annotated[bool, typer.Option(help="Also other gateways, which are fetched first.")] = True,
    contestant: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
    case: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 3,
    seconds: Annotated[int, typer.Option(min=1, help="Of load in each measurement.")] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="A look in under two minutes, without peers.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Say which demands are met; status 1 if one is not.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every measurement to this file.")] = None,
) -> None:
    """Measures what this gateway costs, beside others on the same machine and the same instant upstream. Needs wrk."""
    from actors.benching.plans import full_plan, quick_plan
    from actors.benching.screen import bench as compare

    plan = quick_plan() if quick else full_plan(peers=peers, rounds=rounds, seconds=seconds)
    raise typer.Exit(compare(plan.only(contestant, case), check, json_file))


@app.command()
def chaos(
    url: Url = DEFAULT_URL,
    api_key: Key = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="What is asked meanwhile.")] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Questions a second.")] = 50.0,
    kind: Annotated[list[str] | None, typer.Option(help="Only actors of this kind; may be given again.")] = None,
    hang: Annotated[bool, typer.Option("--hang", help="Stop processes (SIGSTOP) instead of killing them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for leave.")] = False,
    as_json: AsJson = False,
) -> None:
    """Kills the processes of your own gateway in turn while it is asked, and tells what callers saw of it."""
    from actors import chaos as shell

    kinds = kind or list(shell.KINDS)
    if unknown := sorted(set(kinds) - set(shell.KINDS)):
        raise typer.BadParameter(f"There is no kind '{unknown[0]}'; there are: {', '.join(shell.KINDS)}.")
    strikes = shell.play(url, api_key, model, rate, kinds, hang, yes, stderr)
    if as_json:
        stdout.print_json(data=shell.as_json(strikes))
    elif strikes:
        stdout.print(shell.table(strikes))


@app.command("eval")
def evaluate(
    file: Annotated[str, typer.Argument(help="Questions with gold answers, and recorded replies (JSON lines, .gz).")],
    members: Annotated[str, typer.Option(help="Models, separated by commas; default: a suite, or live all.")] = "",
    duplicates: Annotated[int, typer.Option(min=1, help="How often the last member sits in the panel.")] = 1,
    feedback: Annotated[str, typer.Option(help="What is learned from: gold answers, or a verdict alone.")] = "gold",
    seed: Annotated[int, typer.Option(help="Of the order of the questions.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    png_file: Annotated[Path | None, typer.Option("--png", help="Write plots to this file; needs matplotlib.")] = None,
    run_code: Annotated[
        bool, typer.Option("--run-code", help="Try code on its question's examples, confined.")
    ] = False,
    live: Annotated[bool, typer.Option("--live", help="Ask a running gateway; FILE may be sums:N.")] = False,
    at_once: Annotated[int, typer.Option(min=1, help="Live: requests at the same time.")] = 1,
    record: Annotated[Path | None, typer.Option(help="Live: write the answers, to replay them.")] = None,
    url: Url = DEFAULT_URL,
    api_key: Key = None,
) -> None:
    """Compares ways to make many answers one: recorded ones through the gateway's own code, or a running gateway's."""
    from actors.evaluating.screen import evaluate as compare
    from actors.sandbox.sandbox import Sandbox

    names = [name for name in members.split(",") if name]
    if live:
        from actors.edge.http_client import GatewayClient
        from actors.evaluating.live_screen import evaluate_live

        with GatewayClient(url, api_key) as gateway:
            backends = gateway.backends()
            asked = partial(gateway.complete, temperature=0)
            to_write = (json_file, png_file, record)
            evaluate_live(file, names or gateway.models(), backends, asked, stdout, seed, at_once, *to_write)
        return
    verifier = Sandbox() if run_code else None
    compare(Path(file), names, stdout, duplicates, feedback, seed, json_file, png_file, verifier)


@models_app.callback()
def models(context: typer.Context) -> None:
    """Lists the local models that can be fetched and those that are here."""
    if context.invoked_subcommand is None:
        list_models()


@models_app.command("list")
def list_models() -> None:
    """Lists the local models that can be fetched and those that are here."""
    from actors.edge.screens import catalogue_table
    from actors.providers.catalogue_view import catalogue_rows

    stdout.print(catalogue_table(catalogue_rows()))


@models_app.command("pull")
def pull(
    names: Annotated[list[str], typer.Argument(help="Names from `troupe models`.")],
    hub: Annotated[
        str | None, typer.Option(help="A model hub or mirror to ask first.", envvar="TROUPE_MODEL_HUB")
    ] = None,
    accept_licence: Annotated[bool, typer.Option(help="Accept a licence that has terms of its own.")] = False,
) -> None:
    """Fetches pinned weights into the user's cache; goes on where it was interrupted."""
    from actors.providers.catalogue_view import pull_with_progress

    pull_with_progress(names, hub, accept_licence=accept_licence)


def main() -> None:
    """Runs the command line. Expected errors are one line on standard error and exit status 1."""
    logging.basicConfig(level=os.environ.get("TROUPE_LOG", "WARNING"), format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except LLMError as error:
        print(f"troupe: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
