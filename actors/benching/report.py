"""How does a person, and how does a program, read what a comparison found?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from actors.benching.cases import CASES
from actors.benching.figures import FIGURES, Figure
from actors.benching.results import BASELINE, Results, Spread
from actors.benching.run import Findings
from actors.benching.thresholds import OURS, Verdict
from actors.protocol.messages import JsonObject

MARKS = {True: Text("pass", "green"), False: Text("FAIL", "bold red"), None: Text("skipped", "dim")}


def as_json(findings: Findings, verdicts: Sequence[Verdict], date: str) -> JsonObject:
    """Everything that was measured, row by row, and what was made of it; for a file."""
    return {"date": date, **asdict(findings), "checks": [asdict(verdict) for verdict in verdicts]}


def setting(findings: Findings) -> str:
    """On what it was measured, with which versions, in a few lines."""
    on = findings.machine
    lines = [
        f"{on['cores']} cores of {on['cpu']}, {on['memory_gb']} GB, Linux {on['kernel']}, Python {on['python']}, "
        f"load average before {on['load_before']}",
        ", ".join(f"{name} {version}" for name, version in findings.versions.items()),
        *(f"{name} took no part: {reason}" for name, reason in findings.absent.items()),
        *(f"{one.contestant} failed in {one.case}, round {one.round}: {one.reason}" for one in findings.failures),
        *(["It was interrupted; these are the measurements until then."] if findings.interrupted else []),
    ]
    return "\n".join(lines)


def tables(findings: Findings) -> Iterator[Table]:
    """For each case what every contestant did, then how ours compares with each; medians and, in brackets, ranges."""
    results = Results(findings.rows)
    for case in dict.fromkeys(row.case for row in findings.rows):
        yield figures_table(results, case)
        ratios = ratios_table(results, case)
        if ratios.row_count:
            yield ratios


def figures_table(results: Results, case: str) -> Table:
    """A row for each contestant of a case; `+` marks what it adds to the upstream alone."""
    names = results.contestants(case)
    columns = list(_columns(results.figures(case), BASELINE in names))
    table = _table(f"{case}: {CASES[case].about}", "", *(title for title, *_ in columns), "errors")
    for name in names:
        cells = []
        for _, figure, shown, added in columns:
            taken = results.added if added else results.value
            found = None if added and name == BASELINE else taken(name, case, figure)
            cells.append(told(found, shown.digits))
        errors = results.errors(name, case)
        table.add_row(name, *cells, Text(str(errors), "bold red" if errors else "dim"))
    return table


def ratios_table(results: Results, case: str) -> Table:
    """Our figures divided by those of each other contestant in the same round."""
    names = results.contestants(case)
    columns = [column for column in _columns(results.figures(case), BASELINE in names) if column[2].compared]
    table = _table(f"{case}: {OURS}, times", "", *(title for title, *_ in columns))
    for name in names:
        if name in (OURS, BASELINE):
            continue
        ratios = [results.ratio(OURS, name, case, figure, added) for _, figure, _, added in columns]
        if any(ratios):
            table.add_row(name, *(told(ratio, 2) for ratio in ratios))
    return table


def verdicts_table(verdicts: Iterable[Verdict]) -> Table:
    """A row for each demand, and whether it is met."""
    table = _table("Is it as fast as it is meant to be?", "", "claim", "demanded", "found", texts=3)
    for verdict in verdicts:
        table.add_row(MARKS[verdict.passed], verdict.claim, verdict.demand, told(verdict.found, 2))
    return table


def told(found: Spread | None, digits: int) -> str:
    """`12.3 (11.9-14.0)`; without a range where there is only one value."""
    if found is None:
        return "-"
    middle = f"{found.median:,.{digits}f}"
    return middle if found.low == found.high else f"{middle} ({found.low:,.{digits}f}-{found.high:,.{digits}f})"


def _columns(measured: set[str], with_added: bool) -> Iterator[tuple[str, str, Figure, bool]]:
    """Title, name, figure, and whether it is of what was added, in the order of `FIGURES`."""
    for name, figure in FIGURES.items():
        if name in measured:
            yield figure.title, name, figure, False
            if with_added and figure.added:
                yield f"+{figure.title}", name, figure, True


def _table(title: str, *columns: str, texts: int = 1) -> Table:
    """The first `texts` columns hold text, the others numbers."""
    table = Table(title=title, title_justify="left", min_width=len(title))
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < texts else "right")
    return table
