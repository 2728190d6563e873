"""How does a person, and how does a program, read what a comparison found?"""

import json

from rich.console import Console
from rich.table import Table

from actors.benching.report import as_json, figures_table, ratios_table, setting, tables, told, verdicts_table
from actors.benching.results import Results, Row, Spread
from actors.benching.run import Failed, Findings
from actors.benching.thresholds import Verdict

MACHINE = {"kernel": "6.1", "cpu": "Sparrow", "cores": 2, "memory_gb": 25.3, "load_before": 0.5, "python": "3.11"}
ROWS = [
    Row("upstream", "c1", 1, {"per_s": 9000.0, "p50_ms": 0.1}),
    Row("troupe", "c1", 1, {"per_s": 1000.0, "p50_ms": 0.5}, errors=3),
    Row("bare-replica", "c1", 1, {"per_s": 2000.0, "p50_ms": 0.4}),
]


def cells(table: Table) -> dict[str, list[str]]:
    """First cell of each row -> the others."""
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    return {name: list(others) for name, *others in zip(*columns, strict=True)}


def test_a_value_is_told_with_its_range_where_there_is_one() -> None:
    assert told(Spread(1234.5, 1000.0, 2000.0), 0) == "1,234 (1,000-2,000)"
    assert told(Spread(0.5, 0.5, 0.5), 2) == "0.50"
    assert told(None, 2) == "-"


def test_the_figures_of_a_case_stand_beside_what_is_added_to_the_upstream() -> None:
    table = figures_table(Results(ROWS), "c1")

    assert [column.header for column in table.columns] == ["", "req/s", "p50 ms", "+p50 ms", "errors"]
    assert cells(table)["upstream"] == ["9,000", "0.10", "-", "0"]
    assert cells(table)["troupe"] == ["1,000", "0.50", "0.40", "3"]


def test_without_the_upstream_nothing_is_said_of_what_is_added() -> None:
    table = figures_table(Results(ROWS[1:]), "c1")

    assert [column.header for column in table.columns] == ["", "req/s", "p50 ms", "errors"]


def test_our_figures_are_told_as_multiples_of_the_others() -> None:
    assert cells(ratios_table(Results(ROWS), "c1")) == {"bare-replica": ["0.50", "1.25", "1.33"]}


def test_a_comparison_of_one_has_no_table_of_ratios() -> None:
    assert len(list(tables(Findings(MACHINE, rows=ROWS[:2])))) == 1


def test_the_setting_names_machine_versions_absent_and_failed() -> None:
    findings = Findings(MACHINE, {"ray": "2.60.0"}, {"portkey": "no node"}, failures=[Failed("x", "c1", 2, "why")])

    text = setting(findings)

    for part in ("2 cores of Sparrow", "ray 2.60.0", "portkey took no part: no node", "x failed in c1, round 2: why"):
        assert part in text


def test_the_json_holds_every_row_and_is_json() -> None:
    verdict = Verdict("claim", "at most 1", Spread(0.5, 0.4, 0.6), True)

    told = json.loads(json.dumps(as_json(Findings(MACHINE, rows=ROWS), [verdict], "2026-11-23")))

    expected = {"contestant": "troupe", "case": "c1", "round": 1, "errors": 3}
    assert told["rows"][1] == {**expected, "figures": {"per_s": 1000.0, "p50_ms": 0.5}}
    assert told["checks"][0]["found"] == {"median": 0.5, "low": 0.4, "high": 0.6}
    assert told["machine"]["cores"] == 2


def test_verdicts_are_marked() -> None:
    console = Console(width=100, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(verdicts_table([Verdict("a", "x", None, None), Verdict("b", "x", Spread(1, 1, 1), False)]))

    assert "skipped" in capture.get()
    assert "FAIL" in capture.get()
