"""Composition root: configuration in, plain classes wrapped as Ray actors and as a Ray Serve deployment out.

`troupe serve` deploys what `application` returns; `serve run serve_app:build_app config=FILE` does it with Ray's own
command. Building the application creates no actor: the first replica does.
"""

from actors.island import front

CLAIMED_PORTS = front.settle_front()  # Ray Serve reads its settings when it is imported

import gc
import random
import secrets
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import ray
from ray import serve
from ray.serve import Application, Deployment

from actors.backend import Backend
from actors.config.file import load_config
from actors.config.settings import Config
from actors.edge.answer_cache import AnswerCache, AnswerStore
from actors.edge.answers_given import AnswersGiven
from actors.edge.http import HttpApp
from actors.edge.ledger import Ledger
from actors.edge.listener import Listener
from actors.edge.log_lines import log_as_lines
from actors.edge.operations import begin_to_tell
from actors.edge.purse import Purse
from actors.edge.quality_watch import QualityWatch, Tell
from actors.edge.ray_links import ReplicaLinks, bound_host, replica_id
from actors.edge.ray_ports import OPTIMIZER, ROUTER, SUPERVISOR, TRACER, HostedModel, TracerPort, backend_actor
from actors.edge.ray_stage import Sources, Stage, end_self
from actors.ensemble import Ensemble
from actors.ensembling.likeness import Likeness
from actors.island.haproxy_launcher import socket_address
from actors.lease_keeper import LeaseKeeper
from actors.optimizer import Optimizer
from actors.orchestrating.breakers import Breakers
from actors.orchestrating.holdings import Holdings
from actors.orchestrating.scene import Cast
from actors.orchestrator import Orchestrator
from actors.protocol.clock import SYSTEM_CLOCK
from actors.protocol.errors import ConfigError
from actors.protocol.hosts import is_loopback
from actors.protocol.messages import DecisionRecord, Role
from actors.router import Router
from actors.routing.table import RoutingTable
from actors.supervisor import Supervisor
from actors.switchboard import Switchboard
from actors.tracer import Tracer
from actors.tracing.tokens import TokenCounter
from actors.wiring import (
    check_backend,
    describe_of,
    detect_of,
    exporter_of,
    fingerprint,
    lease_of,
    limit_of,
    provider_of,
    provider_under,
    rewriter_of,
    sandbox_of,
)

ONGOING_REQUESTS = 10_000  # overload is refused by the app, in our envelope, not by Serve
GRACE_S = 10.0  # from Serve's word to stop to the end of a replica
DRAIN_WITHIN_S = 8  # of it, for the requests that run


def build_app(args: Mapping[str, str]) -> Application:
    """The application for `serve run serve_app:build_app config=FILE`; there Serve decides host and port."""
    unknown = sorted(set(args) - {"config"})
    if unknown or "config" not in args:
        found = f"unknown: {', '.join(unknown)}" if unknown else "none"
        raise ConfigError(f"serve_app:build_app takes one argument, config=FILE ({found}).")
    return application(load_config(Path(args["config"]), check_backend), Path.cwd())


def application(config: Config, start_folder: Path, instance: str = "", edition: str | None = None) -> Application:
    """The deployment of a gateway. Relative paths are taken from `start_folder`, on the node where this runs.

    `instance` is told by `/readyz`, so that whoever started this gateway knows its own. `edition` is that of a company
    that was raised before.
    """
    config = config.placed(start_folder)
    node_id = ray.get_runtime_context().get_node_id() if ray.is_initialized() else None
    wrapped: Deployment = serve.deployment(serve.ingress()(EnsembleReplica))  # type: ignore[assignment]  # Ray's hint
    replica = wrapped.options(
        name="ensemble",
        num_replicas=config.server.replicas,
        max_ongoing_requests=ONGOING_REQUESTS,
        ray_actor_options={"num_cpus": 0, "memory": 1},  # what needs nothing at all, Ray does not spread over nodes
        health_check_period_s=1,
        health_check_timeout_s=2,
        graceful_shutdown_timeout_s=GRACE_S,
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    state_path = str(config.optimizer.state_path(start_folder))
    return replica.bind(config, state_path, node_id, instance, edition or _edition_of(config, state_path))


def raise_company(config: Config, start_folder: Path) -> str:
    """Begins to create every actor of the company on this node, and returns its edition at once.

    For a Ray on which no other company can be. The supervisor finds the others there, and the replicas the supervisor.
    """
    config = config.placed(start_folder)
    state_path = str(config.optimizer.state_path(start_folder))
    edition = _edition_of(config, state_path)
    stage = Stage(config.ray.namespace, ray.get_runtime_context().get_node_id(), config.tracing.enabled)
    for role in (root(config, state_path, stage, edition), *members(config, state_path, stage, edition)):
        stage.raise_actor(role)
    return edition


def _edition_of(config: Config, state_path: str) -> str:
    return f"{int(SYSTEM_CLOCK.wall_s() * 1000):015d} {fingerprint(config, state_path)}"


class EnsembleReplica(Ensemble):
    """An `Ensemble` with everything real around it."""

    _listener: Listener | None = None

    async def __init__(  # type: ignore[misc]  # Serve awaits constructors
        self, config: Config, state_path: str, node_id: str | None, instance: str, edition: str
    ) -> None:
        log_as_lines(f"ensemble:{replica_id()}")
        await _refuse_open_door(config)
        stage = Stage(config.ray.namespace, node_id or ray.get_runtime_context().get_node_id(), config.tracing.enabled)
        links = ReplicaLinks(stage, root(config, state_path, stage, edition), edition)
        budgets = config.budgets_usd()  # what is spent of them is always counted
        tracing = config.tracing
        ledger = Ledger(
            links,
            tracing.enabled or bool(budgets),
            f"{replica_id()}-{secrets.token_hex(4)}",
            tracing.sample_01,
            every_record=bool(tracing.request_log or tracing.otlp_endpoint),
        )
        purse = Purse(budgets, on_refused=ledger.write) if budgets else None
        switchboard = switchboard_of(config)
        name, table = f"ensemble:{replica_id()}", first_table(config, edition)
        holdings = Holdings(name, config.server.replicas)
        holdings.take_up(table.backends.values())
        breakers = Breakers(name)
        sandbox, count, similar = sandbox_of(config), TokenCounter(), Likeness()
        cast = Cast(
            switchboard.port_for,
            random.Random(),
            holdings,
            breakers,
            sandbox,
            count,
            similar,
            detect_of(config),
            describe_of(config),
        )
        watch = watch_of(config, links.note_quality)
        finished = ledger.write if purse is None else partial(_settled, ledger, purse)
        given = AnswersGiven() if config.optimizer.enabled else None
        orchestrator = Orchestrator(
            cast, finished, watch=watch, rewriter=rewriter_of(config), compare=links.compare, given=given
        )
        keeper, cache = LeaseKeeper(holdings, links.renew), cache_of(config, ledger)
        most = config.server.max_in_flight
        super().__init__(
            name, table, links, orchestrator, ledger, keeper, breakers, most, cache=cache, purse=purse, watch=watch
        )
        self._switchboard = switchboard
        keys = [(key.name, key.key.get_secret_value()) for key in config.server.api_keys]
        max_body_bytes = config.server.max_body_mb * 1024 * 1024
        self._app = HttpApp(self, keys, max_body_bytes, instance=instance or config.ray.namespace)
        self._listener = Listener(self._app, socket_address(replica_id()), DRAIN_WITHIN_S)
        await self.start()
        self._operations_teller = begin_to_tell(TracerPort(stage.namespace) if stage.tracing else None)
        self._listener.start()
        settle_garbage_collection()

    async def __del__(self) -> None:  # Serve awaits destructors
        if self._listener is not None:  # its constructor came to its end
            await self._listener.close()
            await self.stop()
            if self._operations_teller is not None:
                self._operations_teller.cancel()

    def __serve_build_asgi_app__(self) -> HttpApp:
        return self._app


def switchboard_of(config: Config) -> Switchboard:
    """The ways to all backends."""
    longest_call_s = max(
        *(model.deadline_s for model in config.models.values()),
        *(backend.timeout_s * (backend.max_retries + 1) for backend in config.backends.values()),
        0.0,
    )
    return Switchboard(partial(HostedModel, namespace=config.ray.namespace), provider_under, longest_call_s)


def root(config: Config, state_path: str, stage: Stage, edition: str) -> Role:
    """The supervisor's role, with those of all the actors that it creates."""
    return Role(
        SUPERVISOR, "supervisor", Supervisor, (members(config, state_path, stage, edition), stage, end_self, edition)
    )


def members(config: Config, state_path: str, stage: Stage, edition: str) -> list[Role]:
    """The roles of all the actors that the supervisor looks after, in the order of their creation."""
    tables = first_table(config, edition)
    sources = Sources(stage)
    return [
        Role(TRACER, "tracer", Tracer, tracer_arguments(config, state_path)),
        Role(
            OPTIMIZER,
            "optimizer",
            Optimizer,
            (
                Path(state_path),
                list(config.backends),
                end_self,
                config.optimizer.enabled,
                config.optimizer.rewrite_delta_01,
            ),
        ),
        Role(ROUTER, "router", Router, (tables.backends, tables.models, sources, end_self, tables.edition)),
        *(
            Role(
                backend_actor(name),
                "backend",
                Backend,
                (
                    name,
                    partial(provider_of, name, backend),
                    lease_of(backend),
                    end_self,
                    limit_of(backend),
                    config.server.replicas,
                ),
            )
            for name, backend in config.backends.items()
        ),
    ]


def cache_of(config: Config, ledger: Ledger) -> AnswerCache | None:
    """This replica's own cache, if one is wanted."""
    cache = config.cache
    store = AnswerStore(cache.ttl_s, cache.max_entries, cache.max_mb * 1024 * 1024)
    return AnswerCache(store, ledger.write) if cache.enabled else None


def watch_of(config: Config, tell: Tell) -> QualityWatch | None:
    """This replica's look at its answers, if one is wanted."""
    per_s = config.tracing.quality_per_s if config.tracing.enabled else 0
    return QualityWatch(tell, per_s) if per_s else None


def _settled(ledger: Ledger, purse: Purse, record: DecisionRecord) -> None:
    ledger.write(record)
    purse.settle(record)


def tracer_arguments(config: Config, state_path: str) -> tuple[object, ...]:
    """Those of the tracer, whose file lies beside the optimizer's."""
    tracing, state = config.tracing, Path(state_path).with_suffix(".traces.db")
    request_log = Path(tracing.request_log) if tracing.request_log else None
    budgets = (config.budgets_usd(), config.server.replicas)
    exporter = exporter_of(config)
    fixed = (end_self, SYSTEM_CLOCK, state, tracing.sample_01)
    return (*fixed, *budgets, request_log, exporter, tracing.budget_alerts_01, len(config.backends))


def first_table(config: Config, edition: str) -> RoutingTable:
    """What is known before anything was measured or leased; tables of one configuration belong together."""
    return RoutingTable(0, config.backend_records(), config.model_records(), edition=edition.partition(" ")[2])


def settle_garbage_collection() -> None:
    """Spares requests the search for cycles among what was imported: a hundred thousand objects that stay.

    The thresholds let a request's own objects, which are freed without it, come and go before a search begins.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _refuse_open_door(config: Config) -> None:
    """Raises `ConfigError` if Serve listens to everybody while no API key is asked for."""
    host = await bound_host()
    if not is_loopback(host) and not config.server.api_keys:
        raise ConfigError(
            f"Ray Serve listens on {host}, where anybody can reach it, but server.api_keys is empty: "
            "add a key, or let Serve listen on 127.0.0.1."
        )
