from pathlib import Path

import pytest

from actors.protocol.errors import CatalogueError
from actors.providers.catalogue import CATALOGUE, Entry, cache_dir, catalogued, installed, resolve


@pytest.fixture(autouse=True)
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TROUPE_MODELS_DIR", str(tmp_path))
    return tmp_path


def put_sparse(folder: Path, name: str, missing_bytes: int = 0) -> Path:
    path = folder / CATALOGUE[name].file_name
    with path.open("wb") as file:
        file.truncate(CATALOGUE[name].size_bytes - missing_bytes)
    return path


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.name)
def test_every_entry_is_pinned_to_exact_versions_and_one_hash(entry: Entry) -> None:
    assert len(entry.sha256) == 64
    assert all(part.requirement.count("==") == 1 for part in entry.parts)
    assert entry.file_name.endswith(".gguf")


def test_only_entries_that_ask_for_consent_have_terms() -> None:
    assert [name for name, entry in CATALOGUE.items() if entry.terms] == ["gemma3-270m"]


def test_smollm2_brings_a_system_message_of_ours() -> None:
    assert CATALOGUE["smollm2-135m"].system


def test_the_environment_moves_the_cache(models_dir: Path) -> None:
    assert cache_dir() == models_dir


def test_without_the_environment_the_cache_is_under_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TROUPE_MODELS_DIR")

    assert cache_dir().parts[-2:] == ("troupe", "models")


def test_a_catalogue_name_resolves_to_its_installed_file(models_dir: Path) -> None:
    path = put_sparse(models_dir, "smollm2-135m")

    assert resolve("catalogue:smollm2-135m") == path
    assert installed("smollm2-135m")


def test_a_missing_model_is_reported_with_the_command_that_pulls_it() -> None:
    with pytest.raises(CatalogueError, match=r"Run: troupe models pull qwen2\.5-coder-0\.5b"):
        resolve("catalogue:qwen2.5-coder-0.5b")


def test_a_file_of_another_size_is_not_installed(models_dir: Path) -> None:
    put_sparse(models_dir, "smollm2-135m", missing_bytes=1)

    assert not installed("smollm2-135m")
    with pytest.raises(CatalogueError, match="not installed"):
        resolve("catalogue:smollm2-135m")


def test_an_unknown_name_is_reported_with_near_ones() -> None:
    with pytest.raises(CatalogueError, match="Did you mean 'smollm2-135m'"):
        resolve("catalogue:smollm2")


def test_a_name_like_no_other_is_reported_with_all() -> None:
    with pytest.raises(CatalogueError, match=r"Available: 'smollm2-135m', .*'gemma3-270m'"):
        resolve("catalogue:zzz")


def test_a_path_resolves_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(b"GGUF")

    assert resolve(str(path)) == path
    assert catalogued(str(path)) is None


def test_a_path_without_a_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"no model file at '.*own.gguf'"):
        resolve(str(tmp_path / "own.gguf"))


def test_a_catalogue_name_without_its_prefix_is_recognised() -> None:
    with pytest.raises(CatalogueError, match="Did you mean 'catalogue:smollm2-135m'"):
        resolve("smollm2-135m")
