"""How does one event of a stream look on the wire?"""

import orjson

from actors.edge.envelope import Header, envelope
from actors.edge.gateway import ChatRequest
from actors.protocol.errors import LLMError

HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold chunks back
)
KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"


def frame(payload: bytes) -> bytes:
    """The event that carries a JSON payload; a comment, which clients skip, for an empty one."""
    if not payload:
        return KEEP_ALIVE
    if b"\n" in payload or b"\r" in payload:  # an upstream's pretty-printed JSON: a bare line break ends a field
        payload = b"\ndata: ".join(payload.splitlines())
    return b"data: %b\n\n" % payload


def error_frame(error: LLMError, request: ChatRequest, created_s: int) -> bytes:
    """The event that ends a broken stream: the error envelope in a chunk whose choices all finish with `error`.

    No `[DONE]` may follow it. `created_s` is in seconds since the Unix epoch.
    """
    choices = [{"index": index, "delta": {}, "finish_reason": "error"} for index in range(request.n)]
    chunk = {
        **envelope(error),
        "id": request.request_id,
        "object": "chat.completion.chunk",
        "created": created_s,
        "model": request.model,
        "choices": choices,
    }
    return b"data: %b\n\n" % orjson.dumps(chunk)
