"""How do several who ask the same at the same time read one stream, each from its beginning?"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing

from actors.edge.gateway import StreamedReply
from actors.protocol.streams import Closeable, HandedOn

Rewrite = Callable[[bytes], bytes]


class SharedStream:
    """One stream that is played once. It ends early when its last reader has left.

    `events`: what it gave so far, without signs of life; `failure`: what it ended with, unless properly. `on_whole` is
    called once it has come to its proper end, `on_end` at whatever end, perhaps twice: nobody may join any more.
    """

    def __init__(
        self,
        open_stream: Callable[[], Awaitable[StreamedReply]],
        on_whole: Callable[["SharedStream"], None],
        on_end: Callable[["SharedStream"], None],
    ) -> None:
        self.events: list[bytes] = []
        self._headers: Mapping[str, str] | None = None
        self.failure: BaseException | None = None
        self._has_ended = False
        self._readers = 0
        self._news = asyncio.Event()
        self._on_whole = on_whole
        self._on_end = on_end
        self._playing = asyncio.create_task(self._play(open_stream))

    async def join(self, rewrite_last: Rewrite | None = None) -> StreamedReply:
        """The stream for one more reader, once it has begun; with `rewrite_last` its last event is what that returns.

        Raises what opening it raised. Such a reader is one event behind, since nobody knows before which is the last.
        """
        self._readers += 1
        try:
            while self._headers is None:
                self._raise_failure()
                await self._news.wait()
        except BaseException:
            await self._leave()
            raise
        events: Closeable[bytes] = self._read() if rewrite_last is None else self._read_behind(rewrite_last)
        return StreamedReply(self._headers, HandedOn(events, self._leave))

    async def _play(self, open_stream: Callable[[], Awaitable[StreamedReply]]) -> None:
        try:
            reply = await open_stream()
            async with aclosing(reply.events) as events:
                self._headers = reply.headers
                self._tell()
                async for event in events:
                    if event:
                        self.events.append(event)
                    self._tell()
            self._on_whole(self)
        except asyncio.CancelledError as left:
            self.failure = left
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, it is raised where somebody reads
            self.failure = error
        finally:
            self._has_ended = True
            self._on_end(self)
            self._tell()

    async def _read(self) -> AsyncGenerator[bytes, None]:
        read = 0
        while True:
            while read < len(self.events):
                read += 1
                yield self.events[read - 1]
            if self._has_ended:
                self._raise_failure()
                return
            await self._news.wait()
            if read == len(self.events) and not self._has_ended:
                yield b""

    async def _read_behind(self, rewrite_last: Rewrite) -> AsyncGenerator[bytes, None]:
        held: bytes | None = None
        async for event in self._read():
            if event and held is not None:
                yield held
            if not event:
                yield event
            held = event or held
        if held is not None:
            yield rewrite_last(held)

    async def _leave(self) -> None:
        self._readers -= 1
        if self._readers == 0 and not self._playing.done():
            self._on_end(self)  # now, so that nobody joins what is about to end
            self._playing.cancel()
            await asyncio.wait([self._playing])

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure.with_traceback(None)

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
