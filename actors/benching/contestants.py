"""Who is compared, and how is each started?"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from actors.benching.passthrough import UPSTREAM_VARIABLE
from actors.benching.target import Target
from actors.benching.upstream import MODEL

CALLERS_KEY = "sk-bench"
UPSTREAM_KEY = "sk-upstream"
MEMBERS = ("member-a", "member-b", "member-c")
ENSEMBLE = "three"
CHAT = "/v1/chat/completions"
BEARER = {"authorization": f"Bearer {CALLERS_KEY}"}
BIN = Path(sys.executable).parent


class Absent(Exception):
    """A contestant cannot take part on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A command that becomes a contestant, what it needs in its environment, and where it then takes requests."""

    command: Sequence[str | Path]
    target: Target
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


class Contestant(Protocol):
    """Something that is compared.

    `peer`: not of this project, fetched before it can take part. `merges`: it can ask several models at once.
    """

    @property
    def name(self) -> str: ...
    @property
    def peer(self) -> bool: ...
    @property
    def merges(self) -> bool: ...

    def prepare(self) -> str:
        """Its version; fetches it first where it is missing. Raises `Absent`."""
        ...

    def launch(self, upstream_url: str, port: int, folder: Path) -> Launch:
        """How to start it on `port` of loopback, in front of `upstream_url` (with /v1); writes what it reads."""
        ...


@dataclass(frozen=True, slots=True)
class Upstream:
    """The instant upstream by itself: what everything else is measured against."""

    name: str = "upstream"
    peer: bool = False
    merges: bool = False

    def prepare(self) -> str:
        return f"uvloop {version('uvloop')}"

    def launch(self, upstream_url: str, port: int, folder: Path) -> Launch:
        command = [sys.executable, "-m", "actors.benching.upstream", "--port", str(port)]
        return Launch(command, Target(f"http://127.0.0.1:{port}{CHAT}", MODEL))


@dataclass(frozen=True, slots=True)
class Troupe:
    """Our gateway: a real `troupe serve` with everything switched on that is by default, keys and prices."""

    name: str = "troupe"
    replicas: int = 1
    peer: bool = False
    merges: bool = True

    def prepare(self) -> str:
        return version("raytroupe")

    def launch(self, upstream_url: str, port: int, folder: Path) -> Launch:
        config = folder / "gateway.yaml"
        config.write_text(json.dumps(troupe_config(upstream_url, self.replicas)))  # JSON is YAML
        command: list[str | Path] = [BIN / "troupe", "serve", "-c", config, "--port", str(port)]
        target = Target(f"http://127.0.0.1:{port}{CHAT}", "single", BEARER, ensemble=ENSEMBLE)
        return Launch(command, target)


def troupe_config(upstream_url: str, replicas: int) -> dict[str, object]:
    """A gateway's configuration: the model `single` has one member, `three` has three, all of them this upstream."""
    backend = {
        "provider": "openai",
        "base_url": upstream_url,
        "api_key": UPSTREAM_KEY,
        "model": MODEL,
        "max_concurrency": 2048,
        "price": {"input_per_mtok": 0.15, "output_per_mtok": 0.60},
    }
    return {
        "server": {"replicas": replicas, "api_keys": [{"key": CALLERS_KEY, "name": "bench"}]},
        "backends": dict.fromkeys(("instant", *MEMBERS), backend),
        "models": {
            "single": {"strategy": "failover", "members": ["instant"]},
            # The quorum makes it wait for all three, although two that agree decide it.
            ENSEMBLE: {"strategy": "ensemble", "merge": "majority_vote", "quorum": 3, "members": list(MEMBERS)},
        },
    }


@dataclass(frozen=True, slots=True)
class BareReplica:
    """A bare Ray Serve replica that passes requests on, behind the same front."""

    name: str = "bare-replica"
    peer: bool = False
    merges: bool = False

    def prepare(self) -> str:
        return f"Ray Serve {version('ray')}"

    def launch(self, upstream_url: str, port: int, folder: Path) -> Launch:
        arguments = ["--upstream", upstream_url, "--port", str(port)]
        command = [sys.executable, "-m", "actors.benching.bare_replica", *arguments]
        return Launch(command, Target(f"http://127.0.0.1:{port}{CHAT}", MODEL, BEARER))


@dataclass(frozen=True, slots=True)
class PlainUvicorn:
    """The same function as in the bare replica, without Ray: about the least that Python can do."""

    name: str = "plain-uvicorn"
    peer: bool = False
    merges: bool = False

    def prepare(self) -> str:
        return f"uvicorn {version('uvicorn')}"

    def launch(self, upstream_url: str, port: int, folder: Path) -> Launch:
        command = [sys.executable, "-m", "uvicorn", "--factory", "actors.benching.passthrough:from_environment"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
        command += ["--no-access-log", "--log-level", "warning"]
        target = Target(f"http://127.0.0.1:{port}{CHAT}", MODEL, BEARER)
        return Launch(command, target, {UPSTREAM_VARIABLE: upstream_url})


def environment_for(launch: Launch, mark: str, mark_variable: str) -> dict[str, str]:
    """This process's environment without what another gateway left in it, with the launch's own and the mark."""
    foreign = ("RAY_", "TROUPE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, **launch.environment, mark_variable: mark}
