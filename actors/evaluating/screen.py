"""How is a comparison shown to a person?"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from actors.evaluating.comparison import (
    BEST_SINGLE,
    LEARNED,
    PROVED,
    TRUE_WEIGHTS,
    Compared,
    as_json,
    compare,
    difference,
    gain,
    merges_to_replay,
    plans,
    plans_for_code,
    pooled,
)
from actors.evaluating.panels import Panel, accuracies, chosen, of_middle_strength, suite, with_duplicates
from actors.evaluating.proofs import Proofs, prove, trials_of
from actors.evaluating.recorded import Marker, Question, load, models_of
from actors.evaluating.replay import NOTHING_TRIED, Plan
from actors.evaluating.statistics import Interval, brier, expected_calibration_error
from actors.protocol.errors import ConfigError
from actors.protocol.trials import Verifier

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def evaluate(
    path: Path,
    members: Sequence[str],
    console: Console,
    duplicates: int = 1,
    feedback: str = "gold",
    seed: int = 0,
    json_file: Path | None = None,
    png_file: Path | None = None,
    verifier: Verifier | None = None,
) -> None:
    """Compares by replay and prints the tables: of one panel, or of the whole suite where no members are named. With a
    `verifier` code is tried on the examples of its question.

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
    proofs = NOTHING_TRIED if verifier is None else _proofs(questions, verifier)
    to_play = plans(merges_to_replay()) if verifier is None else plans_for_code()
    scored = len(questions) - (len(questions) // 2 if any(plan.learns for plan in to_play) else 0)
    played = [*to_play, Plan(TRUE_WEIGHTS)]
    subject = LEARNED if verifier is None else PROVED
    with Progress(*COLUMNS, console=Console(stderr=True)) as progress:
        task = progress.add_task(
            "questions played", total=sum(len(questions) if plan.learns else scored for plan in played) * len(panels)
        )
        compared = [
            compare(questions, panel, to_play, marker, feedback, seed, lambda: progress.advance(task), proofs)
            for panel in panels
        ]
    whole = pooled(compared) if len(compared) > 1 else compared[0]
    if len(compared) > 1:
        console.print(panels_table(compared, subject))
    console.print(table(whole))
    middle = [one for one in compared if one.panel in of_middle_strength(panels, known)]
    if len(compared) > len(middle) > 1:
        console.print(table(pooled(middle)), "The last table: neighbours from the middle half of the ranking.")
    if json_file is not None:
        told = {"file": path.name, "feedback": feedback, "seed": seed, "summary": as_json(whole)}
        json_file.write_bytes(orjson.dumps({**told, "panels": [as_json(one) for one in compared]}))
    if png_file is not None:
        from actors.evaluating.plots import plot

        plot(whole, png_file)


def _proofs(questions: Sequence[Question], verifier: Verifier) -> Proofs:
    trials = trials_of(questions)
    with Progress(*COLUMNS, console=Console(stderr=True)) as progress:
        task = progress.add_task("code tried", total=len(trials))
        return asyncio.run(prove(trials, verifier, lambda: progress.advance(task)))


def table(compared: Compared) -> Table:
    """Every way to play a panel: how often right, for how much, and how well it knows."""
    n = len(compared.rows[0].right)
    shown = Table(title=f"{compared.panel}: {n} questions that nothing was learned from")
    shown.add_column("way to play")
    for name in ("accuracy", "against best single", "gain", "against true weights", "calls", "tokens", "Brier", "ECE"):
        shown.add_column(name, justify="right")
    for row in compared.rows:
        shown.add_row(
            row.name,
            f"{row.accuracy:.1%}",
            _interval(compared, row.name, BEST_SINGLE),
            _gain(compared, row.name),
            _interval(compared, row.name, TRUE_WEIGHTS),
            f"{row.calls:.2f}",
            f"{row.tokens:.0f}",
            number_text(brier(row.told)),
            number_text(expected_calibration_error(row.told)),
        )
    return shown


def panels_table(compared: Sequence[Compared], subject: str) -> Table:
    """One way to play on each panel, beside its best member."""
    shown = Table(title=f"{subject}, panel by panel")
    shown.add_column("panel")
    for name in ("best single", "majority", "accuracy", "against best single", "gain", "against true weights", "ECE"):
        shown.add_column(name, justify="right")
    for one in compared:
        shown.add_row(
            one.panel,
            f"{one.row(BEST_SINGLE).accuracy:.1%}",
            f"{one.row('majority_vote').accuracy:.1%}",
            f"{one.row(subject).accuracy:.1%}",
            _interval(one, subject, BEST_SINGLE),
            _gain(one, subject),
            _interval(one, subject, TRUE_WEIGHTS),
            number_text(expected_calibration_error(one.row(subject).told)),
        )
    return shown


def _interval(compared: Compared, name: str, against: str) -> str:
    if name == against:
        return "-"
    return interval_text(difference(compared, name, against))


def _gain(compared: Compared, name: str) -> str:
    if name == BEST_SINGLE:
        return "-"
    found = gain(compared, name, BEST_SINGLE)
    return f"{found.mean:+.0%} [{found.low:+.0%}, {found.high:+.0%}]"


def interval_text(found: Interval) -> str:
    """An interval of shares, in percentage points."""
    return f"{found.mean * 100:+.1f} [{found.low * 100:+.1f}, {found.high * 100:+.1f}]"


def number_text(value: float | None) -> str:
    """A number to three places; '-' for none."""
    return "-" if value is None else f"{value:.3f}"
