"""Which server-sent events have arrived so far?"""

from typing import NamedTuple

from actors.protocol.errors import MalformedAnswer

MAX_EVENT_BYTES = 1024 * 1024  # real events (log probabilities, whole tool calls) stay far below
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ServerEvent(NamedTuple):
    """One event: its data lines joined by newlines, and its name (empty when it has none)."""

    data: bytes
    name: bytes = b""


class EventReader:
    """Cuts a stream of bytes into events, however the network has cut it before; LF, CRLF and CR all end lines.

    Comments, ids and events without data are left out. A line or an event above `max_bytes` raises `MalformedAnswer`.
    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
    """

    __slots__ = ("_backend", "_data", "_data_bytes", "_ended_with_cr", "_max_bytes", "_name", "_started", "_tail")

    def __init__(self, backend: str, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self._backend = backend
        self._max_bytes = max_bytes
        self._tail = bytearray()  # the unfinished line; grows in place, however small the parts are
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._name = b""
        self._ended_with_cr = False
        self._started = False

    def feed(self, part: bytes) -> list[ServerEvent]:
        """The events that `part` completes, in order."""
        if self._is_one_plain_event(part):
            self._started, self._ended_with_cr = True, False
            return [ServerEvent(part[6:-2])]
        part = self._with_plain_newlines(part)
        if b"\n" not in part:
            self._tail += part
            self._refuse_above_limit(len(self._tail))
            return []
        lines = part.split(b"\n")
        if self._tail:
            lines[0] = bytes(self._tail + lines[0])
        self._tail = bytearray(lines.pop())
        self._refuse_above_limit(len(self._tail))
        return self._events(lines)

    def finish(self) -> list[ServerEvent]:
        """The event that the end of the stream completes, if any: some servers omit the empty line after the last."""
        lines = [bytes(self._tail), b""]
        self._tail.clear()
        return self._events(lines)

    def _is_one_plain_event(self, part: bytes) -> bool:
        """Whether it is `data: ...` and an empty line and nothing else, as most parts of a live stream are."""
        return (
            part.startswith(b"data: ")
            and part.endswith(b"\n\n")
            and part.count(b"\n") == 2
            and b"\r" not in part
            and len(part) <= self._max_bytes
            and not (self._tail or self._data or self._name)
        )

    def _with_plain_newlines(self, part: bytes) -> bytes:
        if self._ended_with_cr and part.startswith(b"\n"):
            part = part[1:]  # the second half of a CRLF that was cut in two
        if part:
            self._ended_with_cr = part.endswith(b"\r")
        return part.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in part else part

    def _events(self, lines: list[bytes]) -> list[ServerEvent]:
        if not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)
        events = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(self._dispatched())
                self._name = b""
            elif line.startswith(b"data:"):
                self._add_data(line[6:] if line.startswith(b"data: ") else line[5:])
            elif line.startswith(b"event:"):
                self._name = line[6:].strip()
        return events

    def _add_data(self, data: bytes) -> None:
        self._data.append(data)
        self._data_bytes += len(data)
        self._refuse_above_limit(self._data_bytes)

    def _dispatched(self) -> ServerEvent:
        event = ServerEvent(b"\n".join(self._data), self._name)
        self._data = []
        self._data_bytes = 0
        return event

    def _refuse_above_limit(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise MalformedAnswer(f"'{self._backend}' sent an event above {self._max_bytes} bytes.", self._backend)
