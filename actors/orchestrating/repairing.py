"""How does a stream go on that broke off when the caller had already read a part of it?"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import orjson

from actors.orchestrating.chunks import Sent
from actors.orchestrating.player import Opened, Player
from actors.orchestrating.scene import Scene
from actors.protocol.errors import LLMError
from actors.protocol.messages import Chunk, Failure, JsonObject
from actors.protocol.streams import Closeable, HandedOn
from actors.resilience.splicing import MISMATCH, Splice
from actors.routing.strategies import callable_now, order
from actors.routing.table import BackendRecord


async def resumed(player: Player, scene: Scene, broken: str, sent: Sent, error: LLMError) -> Opened | None:
    """Another stream that goes on where that of the backend `broken` broke off with `error`; `None` if none does.

    The same backend is asked first, unless it was silent, then the model's other members, each once and within the
    request's limits. One that can be given the beginning of its answer (`supports.prefill`) goes on from there; of any
    other, what it repeats is dropped, and it is only let on when it has repeated all of it. Tool calls and whatever
    else is more than text are never joined.
    """
    if not error.retryable or not sent.is_plain:
        return None
    scene.learn(Failure.of(error, error.backend or broken, 0.0))
    for backend in candidates(player, scene, broken):
        found = await _resumed_by(player, scene, backend, sent)
        if found is not None:
            return found
    return None


def candidates(player: Player, scene: Scene, broken: str) -> Iterator[BackendRecord]:
    """Whom to ask for the rest, best first."""
    table, target = scene.table, scene.target
    members = [target.name] if isinstance(target, BackendRecord) else order(target, table, player.view)
    leaves = [leaf for member in members if member not in scene.excluded for leaf in table.leaves(member)]
    for name in dict.fromkeys([broken, *leaves]):
        backend = table.backends[name]
        if scene.may_ask(backend) and callable_now(name, table):
            yield backend


async def _resumed_by(player: Player, scene: Scene, backend: BackendRecord, sent: Sent) -> Opened | None:
    text = sent.text
    splice = Splice(text)
    question = scene
    if backend.supports.prefill and text:
        splice = Splice("")
        question = scene.asking(prefilled(scene.body, text), scene.phrasing)
    opened = await player.open_backend(backend, question)
    if isinstance(opened, Failure):
        scene.learn(opened)
        return None
    joined = _joined(opened.chunks, splice, orjson.loads(sent.first or b"{}"))
    try:
        first = await anext(joined)
    except (StopAsyncIteration, LLMError, ValueError):
        await joined.aclose()
        return None
    except BaseException:
        await joined.aclose()
        raise
    return Opened(backend.name, HandedOn(joined, joined.aclose, first))


async def _joined(chunks: Closeable[Chunk], splice: Splice, first: JsonObject) -> AsyncGenerator[Chunk, None]:
    """What is new in `chunks`, as part of the first answer. Raises `ValueError` where it says something else."""
    async with aclosing(chunks):
        async for chunk in chunks:
            new = splice.feed(chunk.text)
            if new is MISMATCH or not (chunk.is_plain or splice.is_caught_up):
                raise ValueError("the second answer is another one")
            if chunk.finish_reason is not None and not splice.is_caught_up:
                raise ValueError("the second answer ends too soon")
            if new or chunk.finish_reason is not None or chunk.usage is not None or not chunk.is_plain:
                yield _as_part_of(first, chunk, new)


def _as_part_of(first: JsonObject, chunk: Chunk, new: str) -> Chunk:
    """The chunk under the first answer's id, with no more of its text than is new."""
    event = orjson.loads(chunk.data)
    event.update({key: first[key] for key in ("id", "created") if key in first})
    if new != chunk.text:
        for choice in event["choices"]:
            if choice.get("index", 0) == 0:
                choice["delta"]["content"] = new
    return chunk._replace(data=orjson.dumps(event), text=new)


def prefilled(body: JsonObject, text: str) -> JsonObject:
    """The request with the beginning of its answer, from which the model goes on."""
    return {**body, "messages": [*body["messages"], {"role": "assistant", "content": text}]}
