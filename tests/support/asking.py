"""What do callers see while something breaks? Requests without a pause, from several threads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.support.running_gateway import RunningGateway


@contextmanager
def asking(gateway: RunningGateway, model: str, callers: int = 3) -> Iterator[list[httpx.Response]]:
    """Asks a model all the time, inside the block; the responses, complete once the block has been left.

    A connection that breaks fails the test: whatever happens, callers get an HTTP response.
    """
    responses: list[httpx.Response] = []
    broken: list[httpx.HTTPError] = []
    over = threading.Event()

    def call() -> None:
        while not over.is_set():
            try:
                responses.append(gateway.post(model))
            except httpx.HTTPError as error:
                broken.append(error)
            over.wait(0.05)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield responses
    finally:
        over.set()
        for thread in threads:
            thread.join(90)
    assert not broken, [repr(error) for error in broken]


def envelope(response: httpx.Response) -> dict[str, object]:
    """The error of a response in OpenAI's envelope; fails for anything else."""
    body = response.json()
    assert set(body) == {"error"}, body
    error: dict[str, object] = body["error"]
    assert set(error) == {"message", "type", "param", "code"}, error
    assert error["message"]
    return error
