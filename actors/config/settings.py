"""What can be configured, within which bounds, and what holds where nothing is said?"""

import re
import socket
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from actors.config.backends import BackendConfig, LlamaCppBackend, OpenAIBackend, ScriptedBackend
from actors.config.consistency import api_key_name, inconsistencies
from actors.config.patterns import PatternConfig, Rewrite, refuse_unusable, rewrite_mode
from actors.config.problems import path_text, shown
from actors.config.values import (
    Dollars,
    Seconds,
    Secret,
    Section,
    Share,
    Text,
    Weight,
    Whole,
    refused_name,
    usable_url,
)
from actors.ensembling.flaws import FLAW_FACTORS
from actors.ensembling.merges import MERGES
from actors.protocol.errors import ConfigError
from actors.protocol.patterns import RewriteMode
from actors.protocol.preference import PREFERENCES, Preference
from actors.routing.strategies import STRATEGIES
from actors.routing.table import TOGETHER, BackendRecord, ModelRecord
from actors.tracing.budgets import KEY, MODEL

__all__ = ["BackendConfig", "Config", "LlamaCppBackend", "OpenAIBackend", "ScriptedBackend"]

ALL_STRATEGIES = (*STRATEGIES, *TOGETHER)
VERIFIERS = ("tests",)
STATE_PREFIX = "sqlite:///"
HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9._-]+)?")
HOST_AND_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ApiKey(Section):
    """A key that lets a caller in. `budget_usd_per_day`: what its holder may spend."""

    key: Secret
    name: Text
    budget_usd_per_day: Dollars | None = None


class ServerConfig(Section):
    """Where the gateway listens, and to whom. `max_in_flight`: requests that one replica takes at once."""

    host: str = "127.0.0.1"
    port: Whole = Field(8000, ge=1, le=65_535)
    replicas: Whole = Field(1, ge=1, le=1024)
    max_body_mb: Whole = Field(32, ge=1, le=1024)
    max_in_flight: Whole = Field(2048, ge=1, le=100_000)
    api_keys: tuple[ApiKey, ...] = ()

    @field_validator("host")
    @classmethod
    def _only_a_host(cls, host: str) -> str:
        if not HOST.fullmatch(host):
            raise PydanticCustomError("unusable_host", "must be a host name or an address, without a scheme or port")
        return host

    @field_validator("api_keys", mode="before")
    @classmethod
    def _named(cls, given: object) -> object:
        """Every key as a mapping with a name."""
        if not isinstance(given, list | tuple):
            return given
        return [entry if isinstance(entry, ApiKey) else _with_name(index, entry) for index, entry in enumerate(given)]


def _with_name(index: int, entry: object) -> dict[object, object]:
    own = entry if isinstance(entry, Mapping) else {"key": entry}
    return {**own, "name": api_key_name(index, entry)}


class RayConfig(Section):
    """Which Ray runs the company: `local` is one of its own, `auto` or `host:port` joins a cluster."""

    address: str = "local"
    namespace: str = "troupe"

    @field_validator("address")
    @classmethod
    def _reachable(cls, address: str) -> str:
        if address not in ("local", "auto") and not HOST_AND_PORT.fullmatch(address):
            raise PydanticCustomError("unusable_address", "must be 'local', 'auto' or host:port")
        return address

    @field_validator("namespace")
    @classmethod
    def _plain_name(cls, namespace: str) -> str:
        if not NAMESPACE.fullmatch(namespace):
            raise PydanticCustomError("unusable_namespace", "must be up to 64 letters, digits and . _ -")
        return namespace


class PreferConfig(Section):
    """What a learned model weighs: the quality of answers, their price, their speed. Only proportions count."""

    quality: Weight = 0.0
    cost: Weight = 0.0
    latency: Weight = 0.0

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        if given not in PREFERENCES:
            raise refused_name("preference", given, tuple(PREFERENCES))
        preference = PREFERENCES[given]
        return {"quality": preference.quality, "cost": preference.cost, "latency": preference.latency}

    @model_validator(mode="after")
    def _weighs_something(self) -> Self:
        if not (self.quality or self.cost or self.latency):
            raise PydanticCustomError("no_preference", "must weigh quality, cost or latency with more than 0")
        return self


class ModelConfig(Section):
    """A name that callers may use: its members, backends or other models, and how they are played together.

    `hold_back_chunks`: so many chunks of a stream are kept until the next has come; if it breaks off among them,
    another member can answer as if nothing had been. `hedge_share_01`: the share of requests for which another member
    may be asked as well when the first takes longer than its own 95th percentile. `budget_usd_per_day`: what all
    callers together may spend on it. `staged`: an ensemble asks so many members at a time, and no more once those
    agree. `samples`: how often self_consistency asks each member. `verifier`: `tests` lets best_of_n run the code of
    answers on the examples that the question gives. `drop`: answers with these flaws are left out while there are
    others; without it they only count for less. `explore_share_01`: of the requests of a learned model, at most so many
    go to others than the best member. `prefer`: what makes a member the best one.
    `rewrite`: as in `optimizer`, for this model.
    `stream_leader`: a stream of an ensemble is that of the member that counts most, at once; its last event says
    whether the vote agrees.
    """

    strategy: str = "failover"
    members: tuple[Text, ...] = Field(min_length=1)
    merge: str = "weighted_consensus"
    judge: Text | None = None
    quorum: Whole | None = Field(None, ge=1, le=10_000)
    deadline_s: Seconds = 60.0
    max_attempts: Whole = Field(6, ge=1, le=10_000)
    max_cost_usd: Dollars | None = None
    min_confidence_01: Share = 0.0
    hold_back_chunks: Whole = Field(0, ge=0, le=1000)
    hedge_share_01: Share = 0.0
    budget_usd_per_day: Dollars | None = None
    staged: Whole | None = Field(None, ge=1, le=10_000)
    samples: Whole = Field(5, ge=2, le=100)
    explore_share_01: Share = 0.3
    verifier: str | None = None
    drop: tuple[str, ...] = ()
    stream_leader: bool = False
    prefer: PreferConfig = PreferConfig(quality=1.0)
    rewrite: Rewrite | None = None

    @field_validator("strategy")
    @classmethod
    def _available_strategy(cls, name: str) -> str:
        if name not in ALL_STRATEGIES:
            raise refused_name("strategy", name, ALL_STRATEGIES)
        return name

    @field_validator("merge")
    @classmethod
    def _available_merge(cls, name: str) -> str:
        if name not in MERGES:
            raise refused_name("merge", name, tuple(MERGES))
        return name

    @field_validator("drop")
    @classmethod
    def _known_flaws(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in FLAW_FACTORS:
                raise refused_name("flaw", name, tuple(FLAW_FACTORS))
        return names

    @field_validator("verifier")
    @classmethod
    def _available_verifier(cls, name: str | None) -> str | None:
        if name not in (None, *VERIFIERS):
            raise refused_name("verifier", str(name), VERIFIERS)
        return name


class SandboxConfig(Section):
    """Within which limits the code of answers is run: time and memory of one trial, and how many run at once in each
    replica."""

    time_s: Seconds = 5.0
    memory_mb: Whole = Field(256, ge=64, le=65_536)
    processes: Whole = Field(2, ge=1, le=1024)


class OptimizerConfig(Section):
    """What is learned, and where it is kept.

    `rewrite`: whether questions may be put to the models in other ways than the caller's own. `rewrite_delta_01`: how
    much worse than the caller's own a way may be and still be used. `rewrite_share_01`: of the questions for which
    another way is only tried beside (`shadow`), how many are. `patterns`: ways of asking to add, to change or to
    switch off.
    """

    enabled: bool = True
    state: str = "sqlite:///.troupe/state.db"
    rewrite: Rewrite = "never"
    rewrite_delta_01: Share = 0.02
    rewrite_share_01: Share = 0.1
    patterns: dict[str, PatternConfig] = Field(default_factory=dict)

    @field_validator("state")
    @classmethod
    def _names_a_file(cls, state: str) -> str:
        path = state.removeprefix(STATE_PREFIX)
        if path == state or path.startswith(":") or path.endswith("/") or not Path(path).name or not path.isprintable():
            raise PydanticCustomError("unusable_state", "must be sqlite:///PATH, where PATH is that of a file")
        return state

    @field_validator("patterns")
    @classmethod
    def _usable_patterns(cls, patterns: dict[str, PatternConfig]) -> dict[str, PatternConfig]:
        refuse_unusable(patterns)
        return patterns

    def state_path(self, cwd: Path) -> Path:
        """The file of the state; a relative one is taken from `cwd`."""
        return cwd / Path(self.state.removeprefix(STATE_PREFIX)).expanduser()


OTLP_MODULE = "opentelemetry.exporter.otlp.proto.http"


class TracingConfig(Section):
    """What is measured. `sample_01`: the share of successful requests whose decision records are kept.

    `otlp_endpoint`: the base URL of an OpenTelemetry collector that speaks OTLP over HTTP. `request_log`: a file that
    gets one line of JSON per finished request. `quality_per_s`: how many answers of each replica are looked at for
    their quality in a second. `budget_alerts_01`: the shares of a budget whose spending is told in the log and in the
    metrics.
    """

    enabled: bool = True
    sample_01: Share = 1.0
    otlp_endpoint: str | None = None
    request_log: Text | None = None
    quality_per_s: Whole = Field(10, ge=0, le=1000)
    budget_alerts_01: tuple[Share, ...] = (0.8, 1.0)

    @field_validator("otlp_endpoint")
    @classmethod
    def _exportable(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and find_spec(OTLP_MODULE) is None:
            raise PydanticCustomError("no_otlp", "needs the extra 'otel': pip install 'raytroupe[otel]'")
        return None if endpoint is None else usable_url(endpoint)


class CacheConfig(Section):
    """Whether whole answers are kept, in each replica, for callers who ask exactly the same with the same key."""

    enabled: bool = False
    ttl_s: Seconds = 300.0
    max_entries: Whole = Field(10_000, ge=1, le=10_000_000)
    max_mb: Whole = Field(64, ge=1, le=65_536)


class Config(Section):
    """A whole configuration. Its parts fit together: names are unique and known, models do not run in circles."""

    server: ServerConfig = ServerConfig()
    ray: RayConfig = RayConfig()
    backends: dict[str, BackendConfig] = Field(min_length=1)
    models: dict[str, ModelConfig] = Field(default_factory=dict)
    optimizer: OptimizerConfig = OptimizerConfig()
    tracing: TracingConfig = TracingConfig()
    cache: CacheConfig = CacheConfig()
    sandbox: SandboxConfig = SandboxConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        found = inconsistencies(self.model_dump(exclude_none=True))
        if found:
            text = "; ".join(f"{path_text(finding.path)}: {finding.message}" for finding in found)
            raise PydanticCustomError("inconsistent", "{problems}", {"problems": text})
        return self

    def placed(self, folder: Path) -> "Config":
        """This configuration with the path of its request log taken from `folder`."""
        if self.tracing.request_log is None:
            return self
        request_log = str(folder / Path(self.tracing.request_log).expanduser())
        return self.model_copy(update={"tracing": self.tracing.model_copy(update={"request_log": request_log})})

    def served_at(self, host: str | None, port: int | None) -> "Config":
        """This configuration, served at another host or port where given; port 0 takes a free one.

        Raises `ConfigError`, also for a host that others can reach while there are no API keys.
        """
        host = self.server.host if host is None else host
        port = self.server.port if port is None else port or free_port(host)
        try:
            server = {**dict(self.server), "host": host, "port": port}
            return type(self).model_validate({**dict(self), "server": ServerConfig.model_validate(server)})
        except ValidationError as error:
            reasons = "; ".join(problem["msg"] for problem in error.errors(include_input=False))
        raise ConfigError(f"This configuration cannot be served at {shown(host)}, port {port}: {reasons}.")

    def backend_record(self, name: str) -> BackendRecord:
        """The backend as the routing table has it at first. Raises `KeyError`."""
        return self.backends[name].record(name)

    def model_record(self, name: str) -> ModelRecord:
        """The model as the routing table has it. Raises `KeyError`."""
        model = self.models[name]
        settings = {key: value for key, value in model if key != "budget_usd_per_day"}
        settings["prefer"] = Preference(**dict(model.prefer))
        settings["rewrite"] = self.rewrites(model.rewrite)
        return ModelRecord(name=name, **settings)

    def rewrites(self, own: str | None = None) -> RewriteMode:
        """Whether questions are put in other ways; where nothing is learned, they never are."""
        return rewrite_mode(own or self.optimizer.rewrite) if self.optimizer.enabled else "never"

    @property
    def runs_code(self) -> bool:
        """Whether any model lets the code of answers be run."""
        return any(model.verifier is not None for model in self.models.values())

    def budgets_usd(self) -> dict[str, float]:
        """What may be spent in a day, by `key:NAME` and `model:NAME`."""
        keys = {f"{KEY}{key.name}": key.budget_usd_per_day for key in self.server.api_keys}
        models = {f"{MODEL}{name}": model.budget_usd_per_day for name, model in self.models.items()}
        return {name: budget_usd for name, budget_usd in (keys | models).items() if budget_usd is not None}

    def backend_records(self) -> dict[str, BackendRecord]:
        """All backends by name, in the file's order."""
        return {name: self.backend_record(name) for name in self.backends}

    def model_records(self) -> dict[str, ModelRecord]:
        """All models by name, in the file's order."""
        return {name: self.model_record(name) for name in self.models}


def free_port(host: str) -> int:
    """A port of that host on which nothing listens now. Raises `ConfigError` for a host that is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            return int(probe.getsockname()[1])
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise ConfigError(f"No server can listen on {shown(host)}: {reason}.")
