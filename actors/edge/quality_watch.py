"""How good do the answers look that this replica gives? A bounded sample of them, looked at after they were given."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from actors.ensembling.quality import Quality, Said, quality_of
from actors.protocol.errors import LLMError
from actors.protocol.messages import Answer, EnsembleReport, JsonObject, Vote
from actors.resilience.error_handler import error_aggregator, handle_error
from actors.tracing.spans import trace_performance

log = logging.getLogger("troupe.quality")

LOOK_EVERY_S: Final = 1.0

Tell = Callable[[Sequence[Quality]], Awaitable[None]]


class QualityWatch:
    """Takes at most `per_s` answers a second, an ensemble's together as one. No word of them leaves the process."""

    def __init__(self, tell: Tell, per_s: int) -> None:
        self._tell = tell
        self._per_s = per_s
        self._seen: deque[Sequence[Said]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether enough was seen for this second."""
        return len(self._seen) >= self._per_s

    def see(self, body: JsonObject, answers: Sequence[Answer], report: EnsembleReport | None) -> None:
        """Takes the answers to one request to be looked at later."""
        if not self.is_full:
            shares = {} if report is None else agreement(report.votes)
            self._seen.append([_said(body, answer, shares.get(answer.backend)) for answer in answers])

    def see_stream(self, body: JsonObject, backend: str, text: str, finish_reason: str | None, is_plain: bool) -> None:
        """Takes an answer that was streamed; one that is not plain may have called tools."""
        if not self.is_full:
            self._seen.append([Said(backend, body, text, finish_reason, calls_tools=not is_plain)])

    @trace_performance("quality")
    async def look(self) -> None:
        """Scores what was seen, one answer at a time, and tells it. Raises errors of our tree."""
        found: list[Quality] = []
        seen, self._seen = self._seen, deque()
        for answers in seen:
            found.extend(map(quality_of, answers))
            await asyncio.sleep(0)  # requests come first
        if found:
            await self._tell(found)

    async def look_forever(self) -> None:
        """Looks every second; what the tracer does not hear is lost, since it was only a sample."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except LLMError as error:
                log.debug("the tracer did not hear of %s", error)
            except Exception as error:  # noqa: BLE001  # a caller's schema may be anything; the loop outlives it
                error_aggregator.record(handle_error(error, "quality", "look"), "quality", "look")


def agreement(votes: Sequence[Vote]) -> dict[str, float]:
    """By backend, the share of all votes, 0..1, that say the same as its own; backends without a vote are left out."""
    by_answer: dict[str, float] = {}
    for vote in votes:
        if vote.answer is not None:
            by_answer[vote.answer] = by_answer.get(vote.answer, 0.0) + vote.weight
    return {vote.backend: min(1.0, by_answer[vote.answer]) for vote in votes if vote.answer is not None}


def _said(body: JsonObject, answer: Answer, agreement_01: float | None) -> Said:
    completion = answer.completion
    choices = completion.body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    message = first.get("message") or {}
    return Said(
        backend=answer.backend,
        body=body,
        text=completion.text,
        finish_reason=completion.finish_reason,
        calls_tools=bool(message.get("tool_calls") or message.get("function_call")),
        refused=bool(message.get("refusal")),
        agreement_01=agreement_01,
    )
