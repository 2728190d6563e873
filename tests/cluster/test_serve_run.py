"""Does the gateway also start with Ray's own command, `serve run`?"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import psutil
import pytest

from actors.island.ports import is_free
from tests.support.running_gateway import BIN, START_WITHIN_S, STOP_WITHIN_S, wait_until
from tests.support.single import single

ROOT = Path(__file__).parents[2]
URL = "http://127.0.0.1:8000"  # Ray's command takes no other port
ServeRun = Callable[[Path, Mapping[str, str]], "subprocess.Popen[bytes]"]


@pytest.fixture
def serve_run(tmp_path: Path) -> Iterator[ServeRun]:
    """Starts `serve run` with a Ray of its own, whose files are below `tmp_path/ray`; ended with all its children."""
    if not is_free("127.0.0.1", 8000):
        pytest.skip("port 8000, which Ray's own command takes, is in use")
    temporary = tempfile.mkdtemp(prefix="tt-")  # short: Ray's sockets live below it
    (tmp_path / "ray").symlink_to(temporary)
    started: list[psutil.Popen] = []

    def start(config: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        own = {"RAY_ADDRESS": "local", "RAY_TMPDIR": temporary, "TMPDIR": temporary, **environment}
        with (tmp_path / "output").open("wb") as output:
            process = psutil.Popen(
                [str(BIN / "serve"), "run", "--app-dir", str(ROOT), "serve_app:build_app", f"config={config}"],
                cwd=tmp_path,
                env={**os.environ, **own},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        started.append(process)
        return process  # type: ignore[return-value]  # it is one, with more

    yield start
    for process in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            end(process)
    shutil.rmtree(temporary, ignore_errors=True)


def end(process: psutil.Popen) -> None:
    """Ends a process, and what it leaves of its children."""
    family = process.children(recursive=True)
    process.terminate()
    _, alive = psutil.wait_procs([process, *family], timeout=STOP_WITHIN_S)
    for survivor in alive:
        survivor.kill()
    psutil.wait_procs(alive, timeout=STOP_WITHIN_S)


def logged(folder: Path, words: str) -> bool:
    """Whether a log of Ray below `folder` holds these words."""
    logs = [Path(at, name) for at, _, names in os.walk(folder, followlinks=False) for name in names]
    return any(words in path.read_text(errors="replace") for path in logs if path.suffix == ".log")


def answer() -> httpx.Response | None:
    body = {"model": "only", "messages": [{"role": "user", "content": "hi"}]}
    try:
        return httpx.post(f"{URL}/v1/chat/completions", json=body, trust_env=False, timeout=10)
    except httpx.HTTPError:
        return None


def test_serve_run_answers_like_troupe_serve(serve_run: ServeRun, tmp_path: Path) -> None:
    process = serve_run(single(tmp_path, "by Ray itself"), {})

    def answers() -> bool:
        assert process.poll() is None, (tmp_path / "output").read_text()
        reply = answer()
        return reply is not None and reply.status_code == 200

    wait_until(answers, START_WITHIN_S, every_s=0.5)
    reply = answer()

    assert reply is not None
    assert reply.json()["choices"][0]["message"]["content"] == "by Ray itself"
    assert reply.json()["troupe"]["backend"] == "only"


def test_serve_run_on_a_public_host_without_keys_is_refused(serve_run: ServeRun, tmp_path: Path) -> None:
    process = serve_run(single(tmp_path, "no"), {"RAY_SERVE_DEFAULT_HTTP_HOST": "0.0.0.0"})

    wait_until(lambda: process.poll() is not None, START_WITHIN_S, every_s=0.5)

    assert logged((tmp_path / "ray").resolve(), "Ray Serve listens on 0.0.0.0, where anybody can reach it")
    assert answer() is None
