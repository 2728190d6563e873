import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from actors.protocol.errors import CatalogueError
from actors.providers.catalogue import Entry, Part
from actors.providers.hub import configured
from actors.providers.pull import install

WHOLE = bytes(range(256)) * 40
ENTRY = Entry(
    name="tiny",
    description="",
    file_name="tiny.gguf",
    size_bytes=len(WHOLE),
    sha256=hashlib.sha256(WHOLE).hexdigest(),
    licence="MIT",
    hub_repo="someone/tiny",
    parts=(Part("tiny-part1==1.0", "*.bin"),),
)


class Hub(ThreadingHTTPServer):
    """A hub on a loopback port that serves one file; may break off, forget ranges, or serve something else."""

    content = WHOLE
    break_after: int | None = None
    knows_ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        if self.path != "/someone/tiny/resolve/main/tiny.gguf":
            self.send_error(404)
            return
        content, start = self.server.content, 0
        if wanted and self.server.knows_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : self.server.break_after])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def silent(done_bytes: int, total_bytes: int, what: str) -> None:
    assert 0 <= done_bytes <= total_bytes


def no_packages(requirement: str, folder: Path, on_bytes: Callable[[int], None]) -> Path:
    raise CatalogueError("packages were asked")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_configured_hub_is_asked_first(hub: Hub, tmp_path: Path) -> None:
    path = install(ENTRY, tmp_path, silent, hub.url, download=no_packages)

    assert path.read_bytes() == WHOLE
    assert names(tmp_path) == ["tiny.gguf"]
    assert hub.asked == [("/someone/tiny/resolve/main/tiny.gguf", None)]


def test_a_download_that_broke_off_goes_on_at_its_last_byte(hub: Hub, tmp_path: Path) -> None:
    hub.break_after = 1000
    with pytest.raises(CatalogueError, match="packages were asked"):
        install(ENTRY, tmp_path, silent, hub.url, download=no_packages)
    left = names(tmp_path)
    hub.break_after = None

    path = install(ENTRY, tmp_path, silent, hub.url, download=no_packages)

    assert left == ["tiny.gguf.hub.part"]
    assert hub.asked[-1][1] == "bytes=1000-"
    assert path.read_bytes() == WHOLE


def test_a_hub_without_ranges_is_read_from_the_start(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.hub.part").write_bytes(WHOLE[:1000])
    hub.knows_ranges = False

    assert install(ENTRY, tmp_path, silent, hub.url, download=no_packages).read_bytes() == WHOLE


@pytest.mark.parametrize("content", [b"x" * len(WHOLE), WHOLE + b"more"], ids=["forged", "too long"])
def test_another_file_than_the_pinned_one_is_deleted(hub: Hub, tmp_path: Path, content: bytes) -> None:
    hub.content = content

    with pytest.raises(CatalogueError, match="packages were asked"):
        install(ENTRY, tmp_path, silent, hub.url, download=no_packages)

    assert names(tmp_path) == []


def test_a_start_that_the_hub_cannot_go_on_from_is_deleted(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.hub.part").write_bytes(WHOLE[:1000])
    hub.content = WHOLE[:500]

    with pytest.raises(CatalogueError, match="packages were asked"):
        install(ENTRY, tmp_path, silent, hub.url, download=no_packages)

    assert names(tmp_path) == []


def test_where_the_hub_fails_packages_are_used_and_the_reason_is_told_without_the_address(
    hub: Hub, tmp_path: Path
) -> None:
    told: list[str] = []

    with pytest.raises(CatalogueError, match="packages were asked"):
        install(
            ENTRY,
            tmp_path,
            lambda done, total, what: told.append(what),
            f"http://user:secret@127.0.0.1:{hub.server_port}/wrong",
            download=no_packages,
        )

    assert told[0] == "the hub failed (HTTP 404); using packages"
    assert "secret" not in "".join(told)


def test_a_hub_that_nobody_listens_at_is_a_failure_like_others(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="packages were asked"):
        install(ENTRY, tmp_path, silent, "http://127.0.0.1:1", download=no_packages)


def test_the_hub_comes_from_the_argument_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TROUPE_MODEL_HUB", raising=False)
    without = configured(None)
    monkeypatch.setenv("TROUPE_MODEL_HUB", "http://mirror.test/models/")

    assert without is None
    assert configured(None) == "http://mirror.test/models"
    assert configured("http://other.test") == "http://other.test"


def test_a_hub_that_is_no_address_is_refused() -> None:
    with pytest.raises(CatalogueError, match="must be a base URL"):
        configured("mirror.test")
