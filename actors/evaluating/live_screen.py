"""How is a live comparison run and shown to a person?"""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import orjson
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from actors.evaluating.comparison import MEAN_MEMBER, ORACLE
from actors.evaluating.live import Ask, Live, as_json, hear, mean_cost_usd, recorded_rows
from actors.evaluating.recorded import Marker, Question, load
from actors.evaluating.screen import COLUMNS, interval_text, number_text
from actors.evaluating.statistics import brier, expected_calibration_error
from actors.evaluating.sums import PREFIX, named
from actors.protocol.clock import SYSTEM_CLOCK
from actors.protocol.errors import ConfigError


def evaluate_live(
    file: str,
    models: Sequence[str],
    backends: Sequence[str],
    ask: Ask,
    console: Console,
    seed: int = 0,
    at_once: int = 1,
    json_file: Path | None = None,
    png_file: Path | None = None,
    record_file: Path | None = None,
) -> None:
    """Asks the models of a running gateway every question, prints the table, and writes what is wanted.

    `file`: questions with `id`, `prompt` and `gold` as JSON lines, or `sums:N`. Raises `ConfigError` for what cannot be
    used.
    """
    questions = questions_of(file, seed)
    if not models:
        raise ConfigError("There is no model to ask.")
    with Progress(*COLUMNS, console=Console(stderr=True)) as progress:
        task = progress.add_task("questions asked", total=len(questions) * len(models))
        live = hear(questions, models, backends, ask, Marker(), SYSTEM_CLOCK, at_once, lambda: progress.advance(task))
    console.print(table(live))
    if json_file is not None:
        json_file.write_bytes(orjson.dumps({"file": file, "seed": seed, **as_json(live)}))
    if record_file is not None:
        record_file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in recorded_rows(live)))
    if png_file is not None:
        from actors.evaluating.plots import plot

        plot(live.compared(), png_file)


def questions_of(file: str, seed: int) -> list[Question]:
    """The questions of a file, or sums."""
    questions = named(file, seed) if file.startswith(PREFIX) else load(Path(file))
    marker = Marker()
    if not questions or any(marker.gold(question) is None for question in questions):
        raise ConfigError(f"{file} must hold questions, each with a short gold answer.")
    return questions


def table(live: Live) -> Table:
    """Each model: how often right, how surely, how fast, for how much."""
    compared = live.compared()
    shown = Table(title=f"{compared.panel}; the best single one is {live.best}")
    shown.add_column("model")
    for name in ("accuracy", "against best single", "calls", "tokens", "USD", "p50 ms", "Brier", "ECE", "failures"):
        shown.add_column(name, justify="right")
    for name, heard in live.heard.items():
        row = compared.row(name)
        shown.add_row(
            name,
            f"{row.accuracy:.1%}",
            "-" if name == live.best else interval_text(live.against_best(name)),
            f"{row.calls:.2f}",
            f"{row.tokens:.0f}",
            number_text(mean_cost_usd(heard)),
            f"{median(one.latency_ms for one in heard):.0f}",
            number_text(brier(row.told)),
            number_text(expected_calibration_error(row.told)),
            str(sum(one.failure is not None for one in heard)),
        )
    for name in (MEAN_MEMBER, ORACLE) if live.backends else ():
        row = compared.row(name)
        shown.add_row(name, f"{row.accuracy:.1%}", "", f"{row.calls:.2f}", f"{row.tokens:.0f}", *[""] * 5)
    return shown
