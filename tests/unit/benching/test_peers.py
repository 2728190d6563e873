"""How are other gateways fetched and started?"""

from pathlib import Path

import pytest

from actors.benching.contestants import Absent
from actors.benching.peers import Portkey, fetch, reason_in


def test_what_was_fetched_once_is_not_fetched_again(tmp_path: Path) -> None:
    folder = tmp_path / "peer"
    fetch(folder, ["touch", folder / "a"], files={"package.json": "{}"})

    fetch(folder, ["touch", folder / "b"])

    assert sorted(path.name for path in folder.iterdir()) == [".fetched", "a", "package.json"]


def test_a_half_fetched_peer_is_fetched_anew(tmp_path: Path) -> None:
    folder = tmp_path / "peer"
    with pytest.raises(Absent):
        fetch(folder, ["touch", folder / "half"], ["false"])

    fetch(folder, ["touch", folder / "whole"])

    assert sorted(path.name for path in folder.iterdir()) == [".fetched", "whole"]


def test_a_fetch_that_fails_tells_why(tmp_path: Path) -> None:
    with pytest.raises(Absent, match="ERROR: no network"):
        fetch(tmp_path / "peer", ["sh", "-c", "echo ERROR: no network >&2; echo hint >&2; exit 1"])


def test_a_program_that_is_not_there_makes_a_peer_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Absent, match="node is not installed"):
        Portkey().prepare()


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("warning\nERROR: one\nERROR: two\nnotice", "ERROR: two"),
        ("npm error code E404\nsee the log", "npm error code E404"),
        ("first\nlast\n\n", "last"),
        ("", "no reason was given"),
    ],
)
def test_the_reason_is_the_last_error_or_the_last_line(output: str, reason: str) -> None:
    assert reason_in(output) == reason
