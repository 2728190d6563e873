"""Wiring: which provider and which lease does a backend's configuration mean? Needs no Ray."""

import asyncio
import hashlib
import json
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import assert_never

from pydantic import SecretStr

from actors.config.patterns import patterns_of
from actors.config.settings import BackendConfig, Config, LlamaCppBackend, OpenAIBackend, ScriptedBackend
from actors.ensembling.language import language_of
from actors.optimizing.quality_predictor import packed
from actors.optimizing.tasks.detector import TaskDetector
from actors.protocol.ports import Provider
from actors.protocol.predictions import Describe, undescribed
from actors.protocol.tasks import Detect, unguessed
from actors.providers.catalogue import resolve
from actors.providers.llama_cpp import LlamaCpp
from actors.providers.openai import OpenAI
from actors.providers.scripted import Scripted
from actors.rewriting.rewriter import Rewriter
from actors.routing.shares import Allowance
from actors.routing.table import BackendRecord, Lease
from actors.sandbox.sandbox import Sandbox
from actors.tracer import Exporter


def provider_of(name: str, backend: BackendConfig) -> Provider:
    """The provider that the backend's actor owns. Raises `ConfigError` for what it could not use."""
    limits = (backend.timeout_s, backend.ttft_timeout_s, backend.stall_timeout_s)
    match backend:
        case OpenAIBackend():
            return OpenAI(name, backend.base_url, _key(backend), backend.model, *limits)
        case LlamaCppBackend():
            make = partial(LlamaCpp, name, backend.model, backend.context_size)
            return make(backend.parallel, backend.threads, backend.system)
        case ScriptedBackend():
            return Scripted(name, backend.script, *limits)
        case _:
            assert_never(backend)


def check_backend(name: str, backend: BackendConfig) -> None:
    """Raises `ConfigError` or `CatalogueError` for a backend that could not start: a wrong script, missing weights."""
    if isinstance(backend, LlamaCppBackend):
        resolve(backend.model)
    provider_of(name, backend)


def lease_of(backend: BackendConfig) -> Lease:
    """Where replicas call it and with which credential: a hosted model through its actor."""
    return Lease(backend.base_url, _key(backend)) if isinstance(backend, OpenAIBackend) else Lease(None)


def limit_of(backend: BackendConfig) -> Allowance:
    """What all replicas together may use of it."""
    return Allowance(backend.max_concurrency, backend.rpm, backend.tpm)


def provider_under(backend: BackendRecord, base_url: str, api_key: str | None) -> Provider:
    """The provider that a lease lets its holder use."""
    limits = (backend.timeout_s, backend.ttft_timeout_s, backend.stall_timeout_s)
    return OpenAI(backend.name, base_url, api_key, backend.model, *limits)


def sandbox_of(config: Config) -> Sandbox | None:
    """Where a replica runs the code of answers, if any model wants that."""
    sandbox = config.sandbox
    return Sandbox(sandbox.time_s, sandbox.memory_mb, sandbox.processes) if config.runs_code else None


def sandbox_notices(config: Config) -> list[str]:
    """What to say to the operator where code should be run and cannot be on this machine."""
    sandbox = sandbox_of(config)
    reason = None if sandbox is None else asyncio.run(sandbox.unavailable_because())
    names = ", ".join(f"models.{name}.verifier" for name, model in config.models.items() if model.verifier)
    return [] if reason is None else [f"{names} has no effect on this machine, no code is run: {reason}."]


def detect_of(config: Config) -> Detect:
    """What tells the types of tasks apart; nothing does where nothing is to be learned."""
    return TaskDetector.trained().detect if config.optimizer.enabled else unguessed


def rewriter_of(config: Config) -> Rewriter:
    """What puts questions in other ways, where a model, the optimizer or a caller wants that."""
    learning = config.optimizer
    delta, share_01 = learning.rewrite_delta_01, learning.rewrite_share_01
    return Rewriter(
        patterns_of(learning.patterns),
        random.Random(),
        config.rewrites(),
        delta,
        share_01,
        language_of,
        learns=learning.enabled,
    )


def describe_of(config: Config) -> Describe:
    """What a learned model sees of a question; nothing where nothing is to be learned."""
    return packed if config.optimizer.enabled else undescribed


def exporter_of(config: Config) -> Callable[[], Exporter] | None:
    """What makes the tracer's exporter, if there is somebody to export to."""
    endpoint = config.tracing.otlp_endpoint
    served = {name: (record.provider, record.model) for name, record in config.backend_records().items()}
    return None if endpoint is None else partial(_otlp_exporter, endpoint, served)


def _otlp_exporter(endpoint: str, served: Mapping[str, tuple[str, str]]) -> Exporter:
    from actors.edge.otlp import OtlpExporter, Served  # an extra, which only this setting needs

    return OtlpExporter(endpoint, {name: Served(*one) for name, one in served.items()})


def fingerprint(config: Config, state_path: str) -> str:
    """The same for two deployments only if their actors would be alike, credentials included; it reveals none."""
    plain = {"state": state_path, **config.model_dump(exclude={"server"}), "replicas": config.server.replicas}
    text = json.dumps(plain, sort_keys=True, default=_revealed)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _revealed(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _key(backend: OpenAIBackend) -> str | None:
    return backend.api_key.get_secret_value() if backend.api_key else None
