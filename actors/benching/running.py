"""How does a contestant run, from its start to the end of everything that it started?"""

import contextlib
import http.client
import secrets
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from actors.benching.contestants import Contestant, environment_for
from actors.benching.processes import MARK_VARIABLE, Family
from actors.benching.target import Target, request_body
from actors.benching.upstream import ANSWER
from actors.protocol.clock import SYSTEM_CLOCK, Deadline
from actors.protocol.errors import LLMError

START_WITHIN_S = 180.0
STOP_WITHIN_S = 30.0
ASK_EVERY_S = 0.02


class Running:
    """A contestant as a process. Use as a context manager: entering returns when it has answered a request.

    `first_answer_s`: seconds from its start to that answer.
    """

    def __init__(self, contestant: Contestant, upstream_url: str) -> None:
        self.name = contestant.name
        self.first_answer_s = 0.0
        self._folder = tempfile.TemporaryDirectory(prefix="tb-", ignore_cleanup_errors=True)  # short: sockets go below
        self._path = Path(self._folder.name)
        self._launch = contestant.launch(upstream_url, _free_port(), self._path)
        self._mark = secrets.token_hex(8)
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0

    @property
    def target(self) -> Target:
        return self._launch.target

    @property
    def family(self) -> Family:
        assert self._process is not None
        return Family(self._process.pid, self._mark)

    @property
    def age_s(self) -> float:
        """Seconds since it was started."""
        return SYSTEM_CLOCK.monotonic_s() - self._started_s

    def __enter__(self) -> "Running":
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def _start(self) -> None:
        environment = {**environment_for(self._launch, self._mark, MARK_VARIABLE), "TMPDIR": self._folder.name}
        self._started_s = SYSTEM_CLOCK.monotonic_s()
        with (self._path / "output").open("wb") as output:
            try:
                self._process = subprocess.Popen(
                    [str(part) for part in self._launch.command],
                    cwd=self._path,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            except OSError as error:
                raise LLMError(f"{self.name} could not be started ({type(error).__name__}).") from error
        self._await_answer()

    def _await_answer(self) -> None:
        deadline, pause = Deadline.after(START_WITHIN_S), threading.Event()
        while not answers(self.target):
            assert self._process is not None
            if self._process.poll() is not None:
                raise LLMError(f"{self.name} ended with status {self._process.returncode}: {self._last_words()}")
            if deadline.time_left_s() == 0:
                raise LLMError(f"{self.name} gave no answer within {START_WITHIN_S:.0f} s: {self._last_words()}")
            pause.wait(ASK_EVERY_S)
        self.first_answer_s = self.age_s

    def _last_words(self) -> str:
        lines = (self._path / "output").read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-3:])[-500:] or "it said nothing"

    def _stop(self) -> None:
        if self._process is not None:
            family = self.family
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                self._process.send_signal(signal.SIGTERM)
                self._process.wait(STOP_WITHIN_S)
            family.kill()
            self._process.wait()
            self._process = None
        self._folder.cleanup()


def answers(target: Target) -> bool:
    """Whether a request gets the upstream's answer now."""
    parts = urlsplit(target.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        headers = {"content-type": "application/json", **target.headers}
        connection.request("POST", parts.path, request_body(target.model), headers)
        response = connection.getresponse()
        return response.status == 200 and f'"{ANSWER}"' in response.read().decode()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
