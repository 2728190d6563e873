import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.protocol.errors import CatalogueError
from actors.providers.wheels import download_with_pip, summary


@pytest.fixture(autouse=True)
def no_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """pip sees only the folder that this returns."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return shelf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


def put_wheel(shelf: Path) -> None:
    with zipfile.ZipFile(shelf / "tiny_part1-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("tiny/piece.bin", b"piece")
        archive.writestr("tiny_part1-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-part1\nVersion: 1.0\n")
        archive.writestr("tiny_part1-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_part1-1.0.dist-info/RECORD", "")


def test_pip_fetches_the_wheel_of_a_requirement(
    no_index: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    put_wheel(no_index)

    wheel = download_with_pip("tiny-part1==1.0", folder, lambda seen: None)

    assert wheel.parent == folder
    assert wheel.name == "tiny_part1-1.0-py3-none-any.whl"
    assert capfd.readouterr() == ("", "")


def test_a_package_that_pip_cannot_find_is_named(folder: Path) -> None:
    with pytest.raises(CatalogueError, match=r"could not download tiny-part1==1.0: .*No matching distribution"):
        download_with_pip("tiny-part1==1.0", folder, lambda seen: None)


@pytest.fixture
def silent_index(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.getsockname()[1]}/index")
        server.settimeout(20)
        yield server


def test_an_interruption_ends_pip(silent_index: socket.socket, folder: Path) -> None:
    connections: list[socket.socket] = []

    def interrupt(seen_bytes: int) -> None:
        connections.append(silent_index.accept()[0])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_with_pip("tiny-part1==1.0", folder, interrupt)

    with connections[0] as pip:
        pip.settimeout(10)
        while pip.recv(4096):  # its request, and then the end: nobody holds the other side any more
            pass


def test_pips_complaint_is_told_without_addresses() -> None:
    log = "WARNING: retry\nERROR: 403 for https://user:secret@index.test/x/\nERROR: No matching distribution\n"

    assert summary(log) == "403 for (address)  No matching distribution"


def test_a_full_disk_is_recognised_in_pips_words() -> None:
    assert summary("ERROR: [Errno 28] No space left on device: '/x'") == "the disk is full"


def test_silence_has_a_reason_too() -> None:
    assert summary("") == "it gave no reason"
