"""When have tasks really ended?"""

import asyncio
from collections.abc import Iterable
from typing import Any


async def all_ended(tasks: "Iterable[asyncio.Task[Any]]") -> None:
    """Cancels what still runs, and returns when nothing does, also when it is cancelled meanwhile itself.

    A caller who leaves cancels a request twice, once for Serve and once for us; the books close after the last call.
    """
    running = {task for task in tasks if not task.done()}
    for task in running:
        task.cancel()
    again: asyncio.CancelledError | None = None
    while running:
        try:
            await asyncio.wait(running)
        except asyncio.CancelledError as cancelled:
            again = cancelled
        running = {task for task in running if not task.done()}
    if again is not None:
        raise again
