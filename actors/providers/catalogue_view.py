"""How are the model catalogue and the pulling of its entries shown to a person?"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.providers import catalogue
from actors.providers.pull import Progress as Report
from actors.providers.pull import pull


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One line of `troupe models`. `path` is where the weights are, or will be once they are pulled."""

    name: str
    description: str
    size_bytes: int
    licence: str
    installed: bool
    path: Path


def catalogue_rows() -> list[CatalogueRow]:
    """The catalogue in its order, with what is installed on this machine."""
    folder = catalogue.cache_dir()
    return [
        CatalogueRow(
            entry.name,
            entry.description,
            entry.size_bytes,
            entry.licence,
            catalogue.installed(entry.name),
            folder / entry.file_name,
        )
        for entry in catalogue.CATALOGUE.values()
    ]


def pull_with_progress(
    names: Sequence[str],
    hub_url: str | None = None,
    *,
    accept_licence: bool = False,
    console: Console | None = None,
) -> list[Path]:
    """Pulls entries one after another and shows how it goes on standard error: bars on a terminal, else plain lines.

    Returns the paths, in the order of `names`. Raises `CatalogueError` at the first failure; every name is looked up
    before anything is fetched.
    """
    for name in names:
        catalogue.entry_named(name)
    screen = console or Console(stderr=True)
    with _bars(screen) if screen.is_terminal else _lines(screen) as reporter:
        return [pull(name, reporter(name), hub_url, accept_licence=accept_licence) for name in names]


@contextmanager
def _bars(screen: Console) -> Iterator[Callable[[str], Report]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[what]}", style="dim"),
    )
    with Progress(*columns, console=screen) as progress:

        def reporter(name: str) -> Report:
            entry = catalogue.entry_named(name)
            here = entry.size_bytes if catalogue.installed(name) else 0
            task = progress.add_task(name, total=entry.size_bytes, completed=here, what="installed" if here else "")
            return lambda done, total, what: progress.update(task, completed=done, total=total, what=escape(what))

        yield reporter


@contextmanager
def _lines(screen: Console) -> Iterator[Callable[[str], Report]]:
    def reporter(name: str) -> Report:
        if catalogue.installed(name):
            screen.print(f"{name}: installed", highlight=False)
        return PlainLines(name, lambda line: screen.print(line, highlight=False, markup=False, soft_wrap=True))

    yield reporter


class PlainLines:
    """Turns progress into few lines of text: one at each tenth, and one for each thing done that is no download."""

    def __init__(self, name: str, say: Callable[[str], None], clock: Clock = SYSTEM_CLOCK) -> None:
        self._name = name
        self._say = say
        self._clock = clock
        self._next_tenth = 0
        self._what = ""
        self._since: tuple[float, int] | None = None

    def __call__(self, done_bytes: int, total_bytes: int, what: str) -> None:
        if not what.startswith(("part ", "from ")):
            if what != self._what:
                self._say(f"{self._name}: {what}")
        elif (tenth := 10 * done_bytes // total_bytes) >= self._next_tenth:
            self._say(f"{self._name}: {self._figures(done_bytes, total_bytes)}, {what}")
            self._next_tenth = tenth + 1
        self._what = what

    def _figures(self, done_bytes: int, total_bytes: int) -> str:
        now_s = self._clock.monotonic_s()
        if self._since is None:
            self._since = (now_s, done_bytes)
        elapsed_s, fetched = now_s - self._since[0], done_bytes - self._since[1]
        speed = f" at {fetched / elapsed_s / 1e6:.0f} MB/s" if elapsed_s > 0 and fetched > 0 else ""
        return f"{done_bytes / total_bytes:4.0%} of {total_bytes / 1e6:.0f} MB{speed}"
