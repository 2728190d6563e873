"""How is a comparison shown to a person?"""

from collections.abc import Sequence
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from actors.evaluating.comparison import (
    BEST_SINGLE,
    LEARNED,
    TRUE_WEIGHTS,
    Compared,
    as_json,
    compare,
    difference,
    merges_to_replay,
    plans,
    pooled,
)
from actors.evaluating.panels import Panel, accuracies, chosen, suite, with_duplicates
from actors.evaluating.recorded import Marker, load, models_of
from actors.evaluating.replay import Plan
from actors.evaluating.statistics import brier, expected_calibration_error
from actors.protocol.errors import ConfigError


def evaluate(
    path: Path,
    members: Sequence[str],
    console: Console,
    duplicates: int = 1,
    feedback: str = "gold",
    seed: int = 0,
    json_file: Path | None = None,
    png_file: Path | None = None,
) -> None:
    """Compares by replay and prints the tables: of one panel, or of the whole suite where no members are named.

    Raises `ConfigError` for a file or members that cannot be used, or a plot without matplotlib.
    """
    if feedback not in ("gold", "verdict"):
        raise ConfigError(f"'{feedback}' is no kind of feedback; there are gold and verdict.", param="feedback")
    questions = load(path)
    models = models_of(questions)
    if len(questions) < 2 or len(models) < 2:
        raise ConfigError(f"{path} must hold at least 2 questions that at least 2 models have all answered.")
    marker = Marker()
    with Progress(TextColumn("{task.description}"), BarColumn(), console=Console(stderr=True)) as reading:
        reading.add_task("reading final answers", total=None)
        known = accuracies(questions, models, marker)
    panels: list[Panel] = [chosen(members, known)] if members else suite(known)
    if duplicates > 1:
        panels = [with_duplicates(panel, duplicates) for panel in panels]
    to_play = plans(merges_to_replay())
    scored = len(questions) - len(questions) // 2
    played = [*to_play, Plan(TRUE_WEIGHTS)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())

    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(
            "questions played", total=sum(len(questions) if plan.learns else scored for plan in played) * len(panels)
        )
        compared = [
            compare(questions, panel, to_play, marker, feedback, seed, lambda: progress.advance(task))
            for panel in panels
        ]
    whole = pooled(compared) if len(compared) > 1 else compared[0]
    if len(compared) > 1:
        console.print(panels_table(compared))
    console.print(table(whole))
    if json_file is not None:
        told = {"file": path.name, "feedback": feedback, "seed": seed, "summary": as_json(whole)}
        json_file.write_bytes(orjson.dumps({**told, "panels": [as_json(one) for one in compared]}))
    if png_file is not None:
        from actors.evaluating.plots import plot

        plot(whole, png_file)


def table(compared: Compared) -> Table:
    """Every way to play a panel: how often right, for how much, and how well it knows."""
    n = len(compared.rows[0].right)
    shown = Table(title=f"{compared.panel}: {n} questions that nothing was learned from")
    shown.add_column("way to play")
    for name in ("accuracy", "against best single", "against true weights", "calls", "tokens", "Brier", "ECE"):
        shown.add_column(name, justify="right")
    for row in compared.rows:
        shown.add_row(
            row.name,
            f"{row.accuracy:.1%}",
            _interval(compared, row.name, BEST_SINGLE),
            _interval(compared, row.name, TRUE_WEIGHTS),
            f"{row.calls:.2f}",
            f"{row.tokens:.0f}",
            _number(brier(row.told)),
            _number(expected_calibration_error(row.told)),
        )
    return shown


def panels_table(compared: Sequence[Compared]) -> Table:
    """The learned consensus on each panel, beside its best member."""
    shown = Table(title="learned weighted consensus, panel by panel")
    shown.add_column("panel")
    for name in ("best single", "majority", "learned", "against best single", "against true weights", "ECE"):
        shown.add_column(name, justify="right")
    for one in compared:
        shown.add_row(
            one.panel,
            f"{one.row(BEST_SINGLE).accuracy:.1%}",
            f"{one.row('majority_vote').accuracy:.1%}",
            f"{one.row(LEARNED).accuracy:.1%}",
            _interval(one, LEARNED, BEST_SINGLE),
            _interval(one, LEARNED, TRUE_WEIGHTS),
            _number(expected_calibration_error(one.row(LEARNED).told)),
        )
    return shown


def _interval(compared: Compared, name: str, against: str) -> str:
    if name == against:
        return "-"
    found = difference(compared, name, against)
    return f"{found.mean * 100:+.1f} [{found.low * 100:+.1f}, {found.high * 100:+.1f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
