"""Server: the process behind `troupe serve`: one gateway from its start to its stop.

Nothing of Ray is imported with this module: Ray Serve reads its settings when it is imported, so they are made first.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import httpx

from actors.config.settings import Config
from actors.island.island import Island, vital_children
from actors.island.ports import is_free
from actors.protocol.clock import Deadline
from actors.protocol.errors import LLMError

log = logging.getLogger("troupe.server")

APPLICATION = "troupe"
READY_WITHIN_S = 300.0
DRAIN_WITHIN_S = 10.0
FAILURE_CHECK_EVERY_S = 1.0
VITAL_CHECK_EVERY_S = 1.0
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


class Stopped(BaseException):
    """A signal asked for the end; not an error, and not to be caught on the way out."""


class Server:
    """One gateway. Use as a context manager: entering returns when it answers, leaving returns when nothing is left."""

    def __init__(self, config: Config, start_folder: Path) -> None:
        self.config = config
        self.url = f"http://{_reachable(config.server.host)}:{config.server.port}"
        self._start_folder = start_folder
        self._island: Island | None = None
        self._ray: Any = None
        self._node: Any = None  # our own Ray's head, on an island
        self._deployed = False
        self._vital: dict[int, str] = {}

    def __enter__(self) -> "Server":
        try:
            self._start()
        except BaseException:
            self._clear_away()
            raise
        return self

    def wait(self) -> None:
        """Returns never: ends with `Stopped`, or with `LLMError` when a process dies that Ray cannot replace."""
        pause = threading.Event()
        while not pause.wait(VITAL_CHECK_EVERY_S):
            lost = set(self._vital) - set(vital_children())
            if lost:
                self._deployed = False  # nobody is left to drain
                raise LLMError(f"Ray's {', '.join(sorted(self._vital[pid] for pid in lost))} has died; stopping.")

    def __exit__(self, *_: object) -> None:
        try:
            if self._deployed:
                self._drain()
        except (LLMError, Stopped, KeyboardInterrupt) as error:
            log.warning("stopping without waiting for running requests (%s)", type(error).__name__)
        finally:
            self._clear_away()

    def check_port(self) -> None:
        """Raises `LLMError` if another program listens where this gateway should."""
        host, port = self.config.server.host, self.config.server.port
        if not is_free(host, port):
            raise LLMError(f"{host}:{port} is in use by another program; choose another with --port.")

    def _start(self) -> None:
        self.check_port()
        if self.config.ray.address == "local":
            self._island = Island.settle()
        import ray

        self._ray = ray
        # Half of the time until Ray answers is spent waiting for its processes.
        threading.Thread(target=_import_ahead, name="imports", daemon=True).start()
        with _signals_kept():  # Ray takes SIGTERM for itself
            self._connect(ray)
        self._vital = vital_children() if self._island else {}
        self._deploy()
        self._await_ready()

    def _connect(self, ray: Any) -> None:
        ray_config = self.config.ray
        if self._island is not None:
            from actors.island.own_ray import start_head

            self._node = start_head(self._island.ray_folder, self._island.ports.runtime_env_agent)
            ray.init(
                self._node.address, namespace=ray_config.namespace, log_to_driver=False, logging_level=logging.WARNING
            )
            return
        from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available

        # Ray looks for the user's token by itself only where it also looks for the cluster.
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
        try:
            ray.init(address=ray_config.address, namespace=ray_config.namespace, log_to_driver=False)
        except ConnectionError as error:
            raise LLMError(f"No Ray answers at {ray_config.address}, or it does not take this user's token.") from error

    def _deploy(self) -> None:
        """Has all processes of the gateway started: together on our own Ray, where nothing of it can be yet."""
        import serve_app
        from actors.edge.ray_serve import begin_serve, deploy, join_serve

        edition = None
        host, port = self.config.server.host, self.config.server.port
        if self._island is not None:
            begin_serve(host, port)  # first, since it has most to do
            edition = serve_app.raise_company(self.config, self._start_folder)
        else:
            join_serve(host, port)
        self._deployed = True
        deploy(serve_app.application(self.config, self._start_folder, self._instance, edition), APPLICATION)

    def _await_ready(self) -> None:
        """Returns once our own replica has answered through the front; anybody else's answer does not count."""
        deadline, next_look = Deadline.after(READY_WITHIN_S), Deadline.after(FAILURE_CHECK_EVERY_S)
        reason = "no answer yet"
        pause = threading.Event()
        with httpx.Client(trust_env=False, timeout=2.0) as client:
            while deadline.time_left_s() > 0:
                try:
                    reply = client.get(f"{self.url}/readyz")
                except httpx.HTTPError as error:
                    reason = type(error).__name__
                else:
                    if reply.headers.get("x-troupe-instance", self._instance) != self._instance:
                        raise LLMError(f"Another gateway answers at {self.url}.")
                    if reply.status_code == 200:
                        return
                    reason = reply.text
                if next_look.time_left_s() <= 0:
                    self._refuse_failure()
                    next_look = Deadline.after(FAILURE_CHECK_EVERY_S)
                pause.wait(0.05)
        raise LLMError(f"The gateway was not ready within {READY_WITHIN_S:.0f} s: {reason}")

    def _refuse_failure(self) -> None:
        from actors.edge.ray_serve import failure_of

        if failure := failure_of(APPLICATION):
            raise LLMError(f"Ray Serve could not start the gateway: {failure}")

    @property
    def _instance(self) -> str:
        return self._island.name if self._island else self.config.ray.namespace

    def _drain(self) -> None:
        """Refuses new requests, waits for the running ones, and lets the company put its affairs in order."""
        from actors.edge.ray_stage import retire

        retire(self.config.ray.namespace, DRAIN_WITHIN_S)

    def _clear_away(self) -> None:
        if self._ray is not None and self._island is None and self._deployed:
            from actors.edge.ray_serve import withdraw

            withdraw(APPLICATION)
        if self._ray is not None:
            self._ray.shutdown()
        if self._node is not None:
            from actors.island.own_ray import end_head

            end_head(self._node)
        if self._island is not None:
            self._island.leave()
            self._island = None


@contextlib.contextmanager
def own_stdout() -> Iterator[TextIO]:
    """Standard output for ourselves alone: whatever else this process or its libraries print goes to standard error."""
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        yield own
    finally:
        own.flush()
        os.dup2(own.fileno(), 1)
        own.close()


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Sets the handlers of SIGTERM and SIGINT again that were there before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def until_stopped() -> Iterator[None]:
    """Runs its block until SIGTERM or SIGINT, which become `Stopped` in the main thread.

    A second signal interrupts the orderly stop: what is left is then cleared away at once.
    """

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except Stopped as stopped:
        log.info("stopped by %s", stopped)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _import_ahead() -> None:
    import serve_app  # noqa: F401


def _reachable(host: str) -> str:
    return WILDCARDS.get(host, f"[{host}]" if ":" in host else host)
