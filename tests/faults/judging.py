"""What did the caller receive: the whole answer, a clear error, or something worse?"""

import asyncio
import itertools
import time
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import orjson

from tests.faults.cases import FAULTS, OTHER, REASON, TEXT

HANGS_AFTER_S = 45.0
SIDE_BY_SIDE = 12  # more would be late for each other's sake
ENOUGH_BYTES = 4_000_000

Seen = Literal["rescued", "another", "refused", "error", "broken", "lie", "lost", "hang"]
"""The complete answer; that of a member that says something else; the provider's own reason; another clear error before
anything was sent; an error within the stream; half or none of the answer as if it were all; a connection that ends
without a word; no end at all."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one question, by which name the provider knows it, and how long it took."""

    seen: Seen
    question: str
    took_s: float
    detail: str = ""
    troupe: dict[str, Any] | None = None


async def asked(base_url: str, fault: str, stream: bool, api_key: str | None = None) -> Verdict:
    """Asks the model of a fault one new question."""
    question = f"question {next(_numbers)}"
    body = {"model": fault, "messages": [{"role": "user", "content": question}], "stream": stream}
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    began_s = time.monotonic()
    try:
        url = f"{base_url}/v1/chat/completions"
        async with (
            asyncio.timeout(HANGS_AFTER_S),
            httpx.AsyncClient(timeout=None, trust_env=False) as client,
            client.stream("POST", url, json=body, headers=headers) as reply,
        ):
            raw = bytearray()
            async for part in reply.aiter_raw():
                raw += part
                if len(raw) > ENOUGH_BYTES:
                    break
        seen, detail, told = judged(reply.status_code, reply.headers.get("content-type", ""), bytes(raw))
    except TimeoutError:
        seen, detail, told = "hang", "", None
    except (httpx.HTTPError, ValueError, TypeError, AttributeError, LookupError) as error:  # what a client dies of
        seen, detail, told = "lost", type(error).__name__, None
    return Verdict(seen, question, time.monotonic() - began_s, detail, told)


def judged(status: int, kind: str, raw: bytes) -> tuple[Seen, str, dict[str, Any] | None]:
    """What a reply is to somebody who believes it. Raises `ValueError` for what no client can read."""
    if kind.startswith("text/event-stream") and status == 200:
        return _judged_stream(raw)
    body = orjson.loads(raw)
    if status != 200:
        message = body["error"]["message"] if isinstance(body.get("error"), dict) else ""
        return ("refused" if REASON in message and status < 500 else "error"), f"{status} {message}", None
    choice = (body.get("choices") or [{}])[0]
    text, reason = (choice.get("message") or {}).get("content"), choice.get("finish_reason")
    return _believed(text, reason == "stop"), f"{reason}: {text!r:.60}", body.get("troupe")


def _judged_stream(raw: bytes) -> tuple[Seen, str, dict[str, Any] | None]:
    text, reason, done, told = "", None, False, None
    for line in raw.split(b"\n"):
        data = line.removeprefix(b"data: ").strip()
        if not line.startswith(b"data: ") or not data:
            continue
        if data == b"[DONE]":
            done = True
            continue
        event = orjson.loads(data)
        told = event.get("troupe") or told
        if event.get("error"):
            return "broken", str(event["error"].get("code")), told
        for choice in event.get("choices") or ():
            text += (choice.get("delta") or {}).get("content") or ""
            reason = choice.get("finish_reason") or reason
    return _believed(text, reason == "stop" and done), f"{reason}, {'' if done else 'no '}[DONE]: {text!r:.60}", told


def _believed(text: object, is_ended: bool) -> Seen:
    if not is_ended or text not in (TEXT, OTHER):
        return "lie"
    return "rescued" if text == TEXT else "another"


async def all_asked(base_url: str, api_key: str | None = None) -> dict[tuple[str, bool], Verdict]:
    """Every fault, streaming and not, side by side: fault, stream -> what came of it."""
    wanted = [(name, stream) for name, fault in FAULTS.items() for stream in (True, False) if stream or fault.whole]
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def in_turn(name: str, stream: bool) -> Verdict:
        async with places:
            return await asked(base_url, name, stream, api_key)

    found = await asyncio.gather(*(in_turn(name, stream) for name, stream in wanted))
    return dict(zip(wanted, found, strict=True))
