"""Does the gateway also start with Ray's own command, `serve run`?"""

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
    """Starts `serve run` with a Ray of its own and its output in `tmp_path/output`; ended with all its children."""
    if not is_free("127.0.0.1", 8000):
        pytest.skip("port 8000, which Ray's own command takes, is in use")
    temporary = tempfile.mkdtemp(prefix="tt-")
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
        family = process.children(recursive=True) if process.is_running() else []
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_WITHIN_S)
        _, alive = psutil.wait_procs(family, timeout=15)
        for child in alive:
            child.kill()
    shutil.rmtree(temporary, ignore_errors=True)


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

    def refused() -> bool:
        return "server.api_keys is empty" in (tmp_path / "output").read_text() or process.poll() is not None

    wait_until(refused, START_WITHIN_S, every_s=0.5)
    reply = answer()

    assert "Ray Serve listens on 0.0.0.0" in (tmp_path / "output").read_text()
    assert reply is None or reply.status_code >= 400
