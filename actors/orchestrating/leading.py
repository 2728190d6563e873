"""How does one member's answer reach the caller at once, while the others still vote on it?"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace

from actors.ensembling.agreement import Similarity, clusters
from actors.ensembling.ballot import ballot_of
from actors.orchestrating.chunks import Sent
from actors.orchestrating.fan_out import Asked
from actors.protocol.errors import LLMError
from actors.protocol.messages import Answer, Chunk, Completion, EnsembleReport, Failure, JsonObject, Outcome, Usage
from actors.protocol.streams import Closeable


@dataclass(slots=True)
class Leader:
    """The member that is streamed, and what the panel will hear of it."""

    name: str
    outcome: asyncio.Future[Outcome]

    async def heard(self) -> Outcome:
        """Its answer once it is whole; that a vote is over does not end the stream."""
        return await asyncio.shield(self.outcome)


def leads(stream_leader: bool, body: JsonObject) -> bool:
    """Whether a member may be streamed before the vote: tool calls and several choices are voted on first."""
    return stream_leader and not body.get("tools") and body.get("n") in (None, 1)


def chosen_leader(members: Sequence[str], weight_of: Callable[[str], float], able: Sequence[str]) -> str:
    """The member that counts most among those that can take the request; of equal ones the first."""
    return max(able or members, key=weight_of)


async def led(
    backend: str,
    chunks: Closeable[Chunk],
    leader: Leader,
    voting: asyncio.Task[Outcome],
    attest: Callable[[Answer, Outcome], None],
    as_answer: Callable[[Completion], Answer],
) -> AsyncGenerator[Chunk, None]:
    """The leader's own stream; it ends when the panel has decided, of which `attest` is told first.

    Raises the error with which the stream broke off.
    """
    sent = Sent()
    usage: Usage | None = None
    finish_reason: str | None = None
    try:
        async for chunk in chunks:
            sent.note(chunk)
            usage, finish_reason = chunk.usage or usage, chunk.finish_reason or finish_reason
            yield chunk
    except LLMError as error:
        leader.outcome.set_result(Failure.of(error, backend, 0.0))
        raise
    answer = as_answer(completion_of(sent.text, finish_reason, usage))
    leader.outcome.set_result(answer)
    attest(answer, await voting)


async def ended(voting: asyncio.Task[Outcome], leader: Leader) -> None:
    """Ends a vote that may still be going on."""
    leader.outcome.cancel()
    voting.cancel()
    await asyncio.wait([voting])


def completion_of(text: str, finish_reason: str | None, usage: Usage | None) -> Completion:
    """What was streamed, as a whole answer."""
    message = {"role": "assistant", "content": text}
    body: JsonObject = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
    }
    return Completion(body, text, finish_reason, usage)


def attested(report: EnsembleReport, streamed: Answer, voted: Outcome, similar: Similarity) -> EnsembleReport:
    """The report with what the vote says of the answer that was streamed before it."""
    if isinstance(voted, Failure):
        return replace(report, streamed=streamed.backend)
    agrees = len(clusters([ballot_of(streamed), ballot_of(voted)], similar)) == 1
    reasons = [] if agrees else [f"the vote gave another answer than that of '{streamed.backend}', which was streamed"]
    return replace(report, streamed=streamed.backend, attested=agrees, reasons=[*report.reasons, *reasons])


def hearing(leader: Leader | None, ask: Asked) -> Asked:
    """Asks members, but the leader for what it says anyway."""
    if leader is None:
        return ask

    async def heard_or_asked(name: str) -> Outcome:
        return await (leader.heard() if name == leader.name else ask(name))

    return heard_or_asked
