"""How do many who want something written get it on disk together, and learn whether it is there?"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from actors.optimizing.journal import Journal, JournalDamaged, Receipt
from actors.protocol.clock import Clock
from actors.protocol.errors import LLMError, OptimizerError, Unprocessable
from actors.protocol.messages import DecisionRecord, Feedback

log = logging.getLogger("troupe.optimizer")

T = TypeVar("T")

MAX_GROUP: Final = 1_000


@dataclass(slots=True)
class Job:
    """Something to be written; `done` tells its sender when it is on disk."""

    done: "asyncio.Future[Receipt | None]"
    outcomes: Sequence[DecisionRecord] = ()
    feedback: Feedback | None = None


class Scribe:
    """Holds the journal, in a thread of its own. What arrives while a commit is under way is committed together as the
    next one.

    `on_opened` is called in that thread whenever the file was opened; `on_written` on the loop, with the outcomes of
    each job that are on disk. `fault`: why the journal cannot be used, `None` while it can.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        on_opened: Callable[[Journal], None],
        on_written: Callable[[Sequence[DecisionRecord]], None],
    ) -> None:
        self.fault: str | None = None
        self._path = path
        self._clock = clock
        self._on_opened = on_opened
        self._on_written = on_written
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._journal: Journal | None = None
        self._jobs: list[Job] = []
        self._work = asyncio.Event()
        self._stopping = False
        self._writer: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._journal is not None

    @property
    def queued(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)

    def start(self) -> None:
        """Begins to write what is submitted."""
        self._writer = asyncio.create_task(self._write_forever())

    async def submit(self, outcomes: Sequence[DecisionRecord] = (), feedback: Feedback | None = None) -> Receipt | None:
        """Returns once both are on disk, with the feedback's receipt; with neither, once the file is open.

        Raises `OptimizerError` when nothing can be written, `Unprocessable` for what cannot.
        """
        if self._stopping or self._writer is None:
            raise OptimizerError("The optimizer is not running; try again in a moment.", retry_after_s=1.0)
        job = Job(asyncio.get_running_loop().create_future(), outcomes, feedback)
        self._jobs.append(job)
        self._work.set()
        return await job.done

    async def with_journal(self, use: Callable[[Journal], T]) -> T:
        """What `use` makes of the journal, in its thread. Raises `OptimizerError`."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: use(self._opened()))

    async def stop(self) -> None:
        """Writes what waits and closes the journal. Safe to call twice."""
        if self._stopping:
            return
        self._stopping = True
        self._work.set()
        if self._writer is not None:
            await self._writer
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def _write_forever(self) -> None:
        while self._jobs or not self._stopping:
            await self._work.wait()
            group, self._jobs = self._jobs[:MAX_GROUP], self._jobs[MAX_GROUP:]
            if group:
                await self._write(group)
            if not self._jobs and not self._stopping:
                self._work.clear()

    async def _write(self, group: Sequence[Job]) -> None:
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, group)
        except Exception as error:  # noqa: BLE001  # the writer outlives any failure; it is told to all who wait for it
            failure = error if isinstance(error, LLMError) else _unforeseen(error)
            self.fault = str(failure)
            results = [failure] * len(group)
        else:
            self.fault = None
        for job, result in zip(group, results, strict=True):
            if not isinstance(result, LLMError):
                self._on_written(job.outcomes)
            if job.done.done():  # its sender was cancelled
                continue
            if isinstance(result, LLMError):
                job.done.set_exception(result)
            else:
                job.done.set_result(result)

    # ---- in the journal's thread ----

    def _commit(self, group: Sequence[Job]) -> list[Receipt | LLMError | None]:
        try:
            return self._commit_together(group)
        except JournalDamaged as error:
            log.error("%s", error)
            self._close()
            return self._commit_together(group)
        except (UnicodeError, TypeError):  # one of them holds what cannot be written; the others shall not suffer
            return [self._commit_alone(job) for job in group]

    def _commit_together(self, group: Sequence[Job]) -> list[Receipt | LLMError | None]:
        outcomes = [outcome for job in group for outcome in job.outcomes]
        feedback = [job.feedback for job in group if job.feedback is not None]
        journal = self._opened()
        receipts = iter(journal.commit(outcomes, feedback) if outcomes or feedback else ())
        return [None if job.feedback is None else next(receipts) for job in group]

    def _commit_alone(self, job: Job) -> Receipt | LLMError | None:
        for outcome in job.outcomes:
            try:
                self._opened().commit([outcome], [])
            except (UnicodeError, TypeError) as error:
                log.error("the outcome of %r cannot be written (%s)", outcome.request_id, type(error).__name__)
        if job.feedback is None:
            return None
        try:
            return self._opened().commit([], [job.feedback])[0]
        except (UnicodeError, TypeError):
            return Unprocessable("The feedback holds text that is not valid Unicode, or values of a wrong type.")

    def _opened(self) -> Journal:
        if self._journal is None:
            journal = Journal(self._path, self._clock)
            self._on_opened(journal)
            self._journal = journal
        return self._journal

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None


def _unforeseen(error: Exception) -> OptimizerError:
    log.error("the journal failed", exc_info=error)
    return OptimizerError(f"The optimizer's journal failed with {type(error).__name__}.")
