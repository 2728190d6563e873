"""What became of each request, for whoever reads logs? One line of JSON each, without a word of question or answer."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import orjson

from actors.protocol.errors import TracerError
from actors.protocol.messages import DecisionRecord, JsonObject

MAX_BYTES: Final = 64 * 1024 * 1024
BEFORE: Final = ".1"


class RequestLog:
    """A file that grows to `max_bytes` and is then renamed to `NAME.1`, in place of the one before."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes

    def write(self, requests: Iterable[DecisionRecord]) -> None:
        """Adds one line per request. Raises `TracerError` when the file cannot be written."""
        lines = b"".join(orjson.dumps(request_line(request), option=orjson.OPT_APPEND_NEWLINE) for request in requests)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size + len(lines) > self._max_bytes:
                self._path.replace(self._path.with_name(self._path.name + BEFORE))
            with self._path.open("ab") as file:
                file.write(lines)
        except OSError as error:
            raise TracerError(f"The request log {self._path} cannot be written: {error.strerror}.") from None


def request_line(request: DecisionRecord) -> JsonObject:
    """What the log says of a request; times in ms."""
    return {
        "at_s": round(request.finished_at_s, 3),
        "request_id": request.request_id,
        "key": request.key_name,
        "model": request.model,
        "strategy": request.strategy,
        "backend": request.backend,
        "outcome": request.outcome,
        "status": request.status,
        "stream": request.stream,
        "latency_ms": round(request.latency_ms, 3),
        "overhead_ms": round(request.overhead_ms, 3),
        "attempts": [f"{attempt.backend}:{attempt.outcome}" for attempt in request.attempts],
        "tokens": request.usage.total_tokens if request.usage else None,
        "cost_usd": request.cost_usd,
    }
