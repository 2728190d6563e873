"""What does a person see who has asked for a comparison?"""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from actors.benching.plans import Plan
from actors.benching.report import as_json, setting, tables, verdicts_table
from actors.benching.results import Results
from actors.benching.run import Watcher, run
from actors.benching.thresholds import verdicts

WIDTH_OF_A_FILE = 180  # columns, where there is no terminal to ask
INTERRUPTED = 130


class ProgressBar(Watcher):
    """Shows on standard error what is measured, and how much of it is done."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("preparing", total=None)
        self._begun = 0

    def says(self, line: str) -> None:
        self._progress.console.print(line, highlight=False, markup=False)

    def begins(self, what: str, of: int) -> None:
        self._progress.update(self._task, description=what, total=of, completed=self._begun)
        if not self._progress.console.is_terminal:
            self.says(f"{self._begun + 1}/{of}  {what}")
        self._begun += 1


def bench(plan: Plan, check: bool, file: Path | None) -> int:
    """Compares, prints tables to standard output and, if asked, writes JSON; the exit status for a shell.

    0: done; 1: nothing was measured, or with `check` a demand is not met; 130: interrupted. Raises as `run` does.
    """
    out = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with _interruptible(), Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        findings = run(plan, ProgressBar(progress))
    found = verdicts(Results(findings.rows))
    out.print(setting(findings), highlight=False, markup=False)
    for table in tables(findings):
        out.print(table)
    if check:
        out.print(verdicts_table(found))
    if file is not None:
        date = datetime.now(UTC).isoformat(timespec="seconds")
        file.write_text(json.dumps(as_json(findings, found, date), indent=1) + "\n")
    if findings.interrupted:
        return INTERRUPTED
    missed = check and any(verdict.passed is False for verdict in found)
    return int(missed or not findings.rows)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Has SIGTERM do what Ctrl-C does, which a shell may moreover have had ignored."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
