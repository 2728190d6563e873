"""How does a test get a real gateway, look into it, and be sure that nothing of it is left afterwards?"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

BIN = Path(sys.executable).parent
START_WITHIN_S = 100.0
STOP_WITHIN_S = 30.0
INSTANCE_VARIABLE = "TROUPE_INSTANCE"


class RunningGateway:
    """`troupe serve` as a process of its own, started in `folder` and with temporary files of its own."""

    def __init__(
        self,
        folder: Path,
        config: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        api_key: str | None = None,
        joins: bool = False,
    ) -> None:
        """`joins`: its configuration joins a Ray that is there already; no process then carries a name of its own."""
        self.folder = folder
        self.api_key = api_key
        self.url = ""
        self.temporary = Path(tempfile.mkdtemp(prefix="tt-"))  # short: Ray's sockets live below it
        self._command = [str(BIN / "troupe"), "serve", "-c", str(config), *(arguments or ("--port", "0"))]
        self._environment = {**os.environ, **(environment or {}), "TMPDIR": str(self.temporary)}
        self._process: subprocess.Popen[bytes] | None = None
        self._client: httpx.Client | None = None
        self._joins = joins
        self._instance: str | None = None

    # ---- from its start to its end ----

    def start(self, within_s: float = START_WITHIN_S) -> "RunningGateway":
        """Returns once the gateway has said that it is ready."""
        with (self.folder / "stdout").open("wb") as out, (self.folder / "stderr").open("wb") as err:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=self._environment,
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches us alone, and we close it
            )
        try:
            wait_until(lambda: "READY" in self.stdout or self.returncode is not None, within_s)
            if self.returncode is not None:
                raise AssertionError(f"The gateway ended with {self.returncode}:\n{self.stderr}")
        except BaseException:
            self.close()
            raise
        self.url = self.stdout.split()[-1]
        self._instance = None if self._joins else self._learn_instance()
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM, within_s: float = STOP_WITHIN_S) -> int:
        """Signals the gateway; returns its exit status. Raises `TimeoutExpired` if that takes longer."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(within_s)

    def close(self) -> None:
        """Ends the gateway, however it is, with all that it started, and removes its files."""
        if self._client is not None:
            self._client.close()
        if self._process is not None and self.returncode is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.stop(signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not self.survivors(), 15)
        self.kill_survivors()
        shutil.rmtree(self.temporary, ignore_errors=True)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        assert self._process is not None
        return self._process.poll()

    @property
    def stdout(self) -> str:
        return (self.folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    def survivors(self) -> list[psutil.Process]:
        """The processes that run under this gateway's name, itself apart."""
        return list(named(self._instance)) if self._instance else []

    def kill_survivors(self) -> None:
        """Kills all of them; some end by themselves when others do."""
        for process in self.survivors():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def leftovers(self) -> list[str]:
        """The temporary files and folders that there are now."""
        return sorted(path.name for path in self.temporary.iterdir())

    def _learn_instance(self) -> str:
        assert self._process is not None
        for child in psutil.Process(self._process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if name := child.environ().get(INSTANCE_VARIABLE):
                    return name
        raise AssertionError("No child of the gateway carries its name.")

    # ---- what it answers ----

    @property
    def http(self) -> httpx.Client:
        """A client with this gateway's address and key."""
        if self._client is None:
            self._client = httpx.Client(base_url=self.url, headers=self.headers, timeout=60, trust_env=False)
        return self._client

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def post(self, model: str, text: str = "What is 6 times 7?", **parameters: object) -> httpx.Response:
        """The response to one chat request, over a connection of its own."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **parameters}
        return httpx.post(
            f"{self.url}/v1/chat/completions", json=body, headers=self.headers, timeout=60, trust_env=False
        )

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = self.http.get("/api/status").raise_for_status().json()
        return told

    def actor(self, name: str) -> dict[str, Any]:
        """An actor's row of the status; empty while there is none. `ensemble` finds the only replica."""
        rows = [row for row in self.status()["actors"] if name in (row["name"], row["name"].partition(":")[0])]
        return dict(rows[0]) if rows else {}

    def in_flight(self, backend: str) -> int:
        """How many calls to a backend are under way."""
        return next(int(row["in_flight"]) for row in self.status()["backends"] if row["name"] == backend)

    def states(self) -> dict[str, str]:
        return {row["name"]: row["state"] for row in self.status()["actors"]}

    def all_alive(self) -> bool:
        return set(self.states().values()) == {"alive"}

    def acknowledged(self) -> int:
        """How many judgements the optimizer has taken."""
        return int(self.http.get("/api/optimizer").raise_for_status().json()["feedback"]["acknowledged"])


def named(instance: str) -> Iterator[psutil.Process]:
    """Every process that carries an instance's name in its environment."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(INSTANCE_VARIABLE) == instance and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def wait_until(holds: Callable[[], object], within_s: float, every_s: float = 0.1) -> None:
    """Returns once `holds` is true. Raises `TimeoutError` if that takes longer."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"This did not come true within {within_s:g} s.")
        time.sleep(every_s)


def run_troupe(*arguments: str, folder: Path, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one `troupe` command."""
    command: Sequence[str] = [str(BIN / "troupe"), *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=START_WITHIN_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr
