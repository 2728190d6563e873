"""How is a small gateway of its own started for one test?"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.running_gateway import RunningGateway

Start = Callable[..., RunningGateway]


def single(folder: Path, says: str) -> Path:
    """A configuration with one backend, `only`, that always says the same."""
    path = folder / "single.yaml"
    path.write_text(f"backends:\n  only: {{provider: scripted, script: {{reply: {says}}}}}\n")
    return path


def content(reply: httpx.Response) -> str:
    """The answer's text; fails for anything but an answer."""
    assert reply.status_code == 200, reply.text
    return str(reply.json()["choices"][0]["message"]["content"])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a gateway from a configuration; all are closed when the test ends."""
    with ExitStack() as closing:

        def starting(config: Path, *arguments: str, **settings: object) -> RunningGateway:
            folder = tmp_path / f"gateway-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            gateway = RunningGateway(folder, config, *arguments, **settings)  # type: ignore[arg-type]
            closing.callback(gateway.close)
            return gateway.start()

        yield starting
