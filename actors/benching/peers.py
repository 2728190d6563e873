"""How are other gateways fetched and started, without becoming a dependency of ours?

Each lives in a folder of its own in the user's cache, in one pinned version, and is used as its documentation says.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from platformdirs import user_cache_path

from actors.benching.contestants import BEARER, CALLERS_KEY, CHAT, UPSTREAM_KEY, Absent, Launch
from actors.benching.target import Target
from actors.benching.upstream import MODEL

LITELLM_VERSION = "1.106.2"
PORTKEY_VERSION = "1.15.2"
# What npm would take today, 1.19, fails every stream ("TypeError: immutable"); 1.14.2 does too.
# https://github.com/Portkey-AI/gateway/issues/1389
PORTKEY_ADAPTER = {"@hono/node-server": "1.13.8"}
FETCH_WITHIN_S = 900.0


@dataclass(frozen=True, slots=True)
class LiteLlm:
    """LiteLLM's proxy (Python) with one worker and a master key, in a virtual environment of its own."""

    name: str = "litellm"
    peer: bool = True
    merges: bool = False

    @property
    def _folder(self) -> Path:
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        return peers_folder() / f"litellm-{LITELLM_VERSION}-py{python}"

    def prepare(self) -> str:
        pip: list[str | Path] = [self._folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        fetch(
            self._folder,
            [sys.executable, "-m", "venv", self._folder],
            [*pip, f"litellm[proxy]=={LITELLM_VERSION}"],
        )
        return LITELLM_VERSION

    def launch(self, upstream_url: str, port: int, folder: Path) -> Launch:
        config = folder / "litellm.yaml"
        config.write_text(json.dumps(litellm_config(upstream_url)))
        command: list[str | Path] = [self._folder / "bin" / "litellm", "--config", config]
        command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False"]
        environment = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # nothing is fetched when it starts
            "LITELLM_LOG": "ERROR",
        }
        return Launch(command, Target(f"http://127.0.0.1:{port}{CHAT}", MODEL, BEARER), environment)


def litellm_config(upstream_url: str) -> dict[str, object]:
    """One model, which is the upstream's, behind a master key."""
    parameters = {"model": f"openai/{MODEL}", "api_base": upstream_url, "api_key": UPSTREAM_KEY}
    return {
        "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
        "general_settings": {"master_key": CALLERS_KEY},
    }


@dataclass(frozen=True, slots=True)
class Portkey:
    """Portkey's gateway (Node), which is told of its upstream with each request."""

    name: str = "portkey"
    peer: bool = True
    merges: bool = False

    @property
    def _folder(self) -> Path:
        return peers_folder() / f"portkey-{PORTKEY_VERSION}-{PORTKEY_ADAPTER['@hono/node-server']}"

    def prepare(self) -> str:
        for program in ("node", "npm"):
            if shutil.which(program) is None:
                raise Absent(f"{program} is not installed")
        package = {
            "private": True,
            "dependencies": {"@portkey-ai/gateway": PORTKEY_VERSION},
            "overrides": PORTKEY_ADAPTER,
        }
        npm = ["npm", "install", "--prefix", str(self._folder), "--no-audit", "--no-fund", "--loglevel", "error"]
        fetch(self._folder, npm, files={"package.json": json.dumps(package)})
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
        return f"{PORTKEY_VERSION} on Node {node.removeprefix('v')}"

    def launch(self, upstream_url: str, port: int, folder: Path) -> Launch:
        script = self._folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        headers = {
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": upstream_url,
            "authorization": f"Bearer {UPSTREAM_KEY}",
        }
        target = Target(f"http://127.0.0.1:{port}{CHAT}", MODEL, headers)
        environment = {"NODE_ENV": "production"}
        return Launch(["node", script, "--headless", f"--port={port}"], target, environment)


def peers_folder() -> Path:
    """Where fetched peers are kept; it may be removed at any time."""
    return user_cache_path("troupe") / "bench"


def fetch(folder: Path, *commands: Sequence[str | Path], files: Mapping[str, str] = MappingProxyType({})) -> None:
    """Fills `folder` with these files and then by these commands, unless that was done before.

    Raises `Absent` when a command fails.
    """
    done = folder / ".fetched"
    if done.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    for command in commands:
        _run(command)
    done.touch()


def _run(command: Sequence[str | Path]) -> None:
    # A session of its own: Ctrl-C is ours to handle, and ends it by the exception.
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, start_new_session=True, timeout=FETCH_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Absent(f"{Path(command[0]).name} could not be run or did not end ({type(error).__name__})") from error
    if done.returncode != 0:
        raise Absent(f"it could not be fetched: {reason_in(done.stderr or done.stdout)}")


def reason_in(output: str) -> str:
    """The line of a failed installation that tells most: its last error, or its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(npm )?err", line, re.IGNORECASE)]
    return (errors or lines or ["no reason was given"])[-1][:300]
