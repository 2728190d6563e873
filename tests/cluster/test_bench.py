"""Does the benchmark measure a real gateway, and leave nothing behind?"""

import json
import shutil
from pathlib import Path

import pytest

from actors.benching.processes import MARK_VARIABLE
from tests.support.running_gateway import run_troupe

pytestmark = pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk")


def marked() -> list[str]:
    """The processes that belong to a contestant of any benchmark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK_VARIABLE}=".encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_our_gateway_is_measured_beside_its_upstream(tmp_path: Path) -> None:
    before = set(marked())
    chosen = ("--contestant", "upstream", "--contestant", "troupe", "--case", "c16", "--case", "streams")

    status, out, err = run_troupe("bench", "--quick", *chosen, "--json", "found.json", folder=tmp_path)

    assert status == 0, err
    assert "c16: 16 connections" in out
    found = json.loads((tmp_path / "found.json").read_text())
    rows = {(row["contestant"], row["case"]): row for row in found["rows"]}
    assert len(rows) == 4
    assert all(row["errors"] == 0 for row in rows.values())
    ours = rows["troupe", "c16"]["figures"]
    assert ours["per_s"] > 50
    assert 0 < ours["p50_ms"] <= ours["p99_ms"]
    assert ours["cpu_us_per_request"] > 0
    assert ours["pss_mb"] > 100
    assert 0 < rows["troupe", "streams"]["figures"]["lag_p50_ms"] < 1000
    assert found["versions"]["troupe"]
    assert set(marked()) <= before


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    status, _, err = run_troupe("bench", "--contestant", "nginx", folder=tmp_path)

    assert status == 1
    assert "There is no contestant 'nginx'" in err
