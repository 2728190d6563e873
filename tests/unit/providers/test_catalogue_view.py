import io
from pathlib import Path

import pytest
from rich.console import Console

from actors.protocol.clock import ManualClock
from actors.protocol.errors import CatalogueError
from actors.providers.catalogue import CATALOGUE
from actors.providers.catalogue_view import PlainLines, catalogue_rows, pull_with_progress


@pytest.fixture(autouse=True)
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TROUPE_MODELS_DIR", str(tmp_path))
    with (tmp_path / CATALOGUE["smollm2-135m"].file_name).open("wb") as file:
        file.truncate(CATALOGUE["smollm2-135m"].size_bytes)
    return tmp_path


def test_rows_tell_what_is_installed(models_dir: Path) -> None:
    first, second = catalogue_rows()[:2]

    assert (first.name, first.installed, first.size_bytes) == ("smollm2-135m", True, 98_362_432)
    assert (second.name, second.installed) == ("qwen2.5-coder-0.5b", False)
    assert first.path == models_dir / "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.mark.parametrize("terminal", [True, False])
def test_installed_models_are_returned_without_fetching(terminal: bool, models_dir: Path) -> None:
    shown = io.StringIO()
    screen = Console(file=shown, force_terminal=terminal, width=120)

    paths = pull_with_progress(["smollm2-135m"], console=screen)

    assert paths == [models_dir / "SmolLM2-135M-Instruct.Q4_1.gguf"]
    assert "installed" in shown.getvalue()


def test_an_unknown_name_is_found_before_anything_is_fetched() -> None:
    shown = io.StringIO()

    with pytest.raises(CatalogueError, match="Did you mean"):
        pull_with_progress(["gemma3-270m", "smollm3"], console=Console(file=shown))

    assert shown.getvalue() == ""


def test_plain_lines_come_at_every_tenth() -> None:
    said: list[str] = []
    clock = ManualClock()
    lines = PlainLines("tiny", said.append, clock)

    for done in range(0, 200_000_001, 2_000_000):
        lines(done, 200_000_000, "part 1 of 1")
        clock.advance(0.1)

    assert len(said) == 11
    assert said[0] == "tiny:   0% of 200 MB, part 1 of 1"
    assert said[5] == "tiny:  50% of 200 MB at 20 MB/s, part 1 of 1"


def test_plain_lines_name_each_other_thing_once() -> None:
    said: list[str] = []
    lines = PlainLines("tiny", said.append, ManualClock())

    for done in (0, 50, 100):
        lines(done, 100, "checking")
    lines(100, 100, "installed")

    assert said == ["tiny: checking", "tiny: installed"]
