"""Client: the company by handle, for scripts: no HTTP, the same actors.

from actors.client import connect

troupe = connect("http://127.0.0.1:8000")        # or connect() inside a cluster
print(troupe.ask("What is 6 times 7?", model="company").text)
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import ray
from ray import serve
from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from actors.edge.http_client import GatewayClient
from actors.edge.ray_ports import OPTIMIZER, ROUTER, SUPERVISOR, TRACER, Remote, backend_actor, translated
from actors.protocol.errors import LLMError, SupervisorError
from actors.protocol.messages import JsonObject, Outcome
from actors.routing.table import RoutingTable

DEPLOYMENT = "ensemble"
DEFAULT_NAMESPACE = "troupe"

Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Said:
    """A reply: its text, and the whole OpenAI completion with the `troupe` object."""

    text: str
    body: JsonObject = field(repr=False)

    @property
    def troupe(self) -> JsonObject:
        """What happened: attempts, votes, confidence, cost."""
        told: JsonObject = self.body["troupe"]
        return told


def connect(url: str | None = None, *, api_key: str | None = None, namespace: str | None = None) -> "Troupe":
    """The company of a running gateway.

    With a URL, that gateway is asked where its Ray is (`api_key`: one of its keys, if it has any); without one, the
    Ray that this process is connected to is used, or else the one that `RAY_ADDRESS` names.
    Raises `LLMError` if there is no gateway.
    """
    address = os.environ.get("RAY_ADDRESS", "auto")
    if url is not None:
        with GatewayClient(url, api_key) as gateway:
            told = gateway.get("/api/status")
        address, namespace = told["address"], told["namespace"]
    if ray.is_initialized():
        connected = ray.get_runtime_context().gcs_address
        if url is not None and connected != address:
            raise SupervisorError(
                f"This process is connected to the Ray at {connected}; that gateway's is at {address}."
            )
    else:
        # Ray looks for the user's token by itself only where it also looks for the cluster.
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
        try:
            ray.init(address=address, namespace=namespace, log_to_driver=False, logging_level=logging.WARNING)
        except ConnectionError as error:
            raise SupervisorError(f"No Ray answers at {address}.") from error
    troupe = Troupe(namespace or DEFAULT_NAMESPACE)
    _ = troupe.supervisor  # fails here and now where there is no gateway
    return troupe


class Troupe:
    """Handles to one gateway's actors.

    `router`, `optimizer`, `supervisor`, `tracer` and `backend(name)` are Ray actor handles: call
    `handle.method.remote(...)` and `ray.get` the result, or await it. `ensemble` is the Serve deployment's handle.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    @property
    def router(self) -> Any:
        """`actors.router.Router`."""
        return self._actor(ROUTER)

    @property
    def optimizer(self) -> Any:
        """`actors.optimizer.Optimizer`."""
        return self._actor(OPTIMIZER)

    @property
    def supervisor(self) -> Any:
        """`actors.supervisor.Supervisor`."""
        return self._actor(SUPERVISOR)

    @property
    def tracer(self) -> Any:
        """`actors.tracer.Tracer`."""
        return self._actor(TRACER)

    @property
    def ensemble(self) -> Any:
        """`actors.ensemble.Ensemble`: `ask`, `ask_stream`, `orchestrate`."""
        applications = serve.status().applications
        names = [name for name, application in applications.items() if DEPLOYMENT in application.deployments]
        if not names:
            raise SupervisorError("No gateway is deployed on this Ray cluster.")
        return serve.get_app_handle(names[0])

    def kill(self, name: str) -> None:
        """Ends the process of the actor with this full name (`router`, `backend:NAME`); Ray starts it again."""
        ray.kill(self._actor(name), no_restart=False)

    def backend(self, name: str) -> Any:
        """`actors.backend.Backend` of that name. Raises `SupervisorError` if there is none."""
        return self._actor(backend_actor(name))

    def table(self) -> RoutingTable:
        """The routing table: every backend and model, with state and measurements."""
        table: RoutingTable = ray.get(self.router.table.remote())
        return table

    def names(self) -> list[str]:
        """What can be asked, models first."""
        return list(self.table().names())

    def ask(self, question: str | Messages, model: str | None = None, **parameters: object) -> Said:
        """The reply of a model (default: the first) to a text or to messages. Raises errors of the `LLMError` tree."""
        body = self._body(question, model, parameters)
        with _our_errors():
            reply: JsonObject = self.ensemble.ask.remote(body).result()
        return _said(reply)

    async def aask(self, question: str | Messages, model: str | None = None, **parameters: object) -> Said:
        """Like `ask`, awaited."""
        body = await asyncio.to_thread(self._body, question, model, parameters)
        with _our_errors():
            reply: JsonObject = await self.ensemble.ask.remote(body)
        return _said(reply)

    def stream(self, question: str | Messages, model: str | None = None, **parameters: object) -> Iterator[str]:
        """The reply's text, piece by piece as it is written."""
        body = self._body(question, model, parameters)
        with _our_errors():
            for event in self.ensemble.options(stream=True).ask_stream.remote(body):
                yield from _words(event)

    async def astream(
        self, question: str | Messages, model: str | None = None, **parameters: object
    ) -> AsyncIterator[str]:
        """Like `stream`, awaited."""
        body = await asyncio.to_thread(self._body, question, model, parameters)
        with _our_errors():
            async for event in self.ensemble.options(stream=True).ask_stream.remote(body):
                for piece in _words(event):
                    yield piece

    def orchestrate(self, question: str | Messages, model: str, **parameters: object) -> Sequence[Outcome]:
        """Every backend behind a model, asked in parallel: an `Answer` or a `Failure` each."""
        body = self._body(question, model, parameters)
        with _our_errors():
            outcomes: Sequence[Outcome] = self.ensemble.orchestrate.remote(body).result()
        return outcomes

    def _body(self, question: str | Messages, model: str | None, parameters: Mapping[str, object]) -> JsonObject:
        messages = [{"role": "user", "content": question}] if isinstance(question, str) else list(question)
        return {"model": model or self.names()[0], "messages": messages, **parameters}

    def _actor(self, name: str) -> Any:
        return Remote(name, self.namespace).handle()


def _said(body: JsonObject) -> Said:
    return Said(str(body["choices"][0]["message"].get("content") or ""), body)


def _words(event: bytes) -> Iterator[str]:
    choices = orjson.loads(event).get("choices") or [{}]
    piece = choices[0].get("delta", {}).get("content")
    if piece:
        yield piece


@contextlib.contextmanager
def _our_errors() -> Iterator[None]:
    """Errors of our tree come out as they went in; what Ray and Serve raise themselves is translated."""
    try:
        yield
    except (RayError, RayServeException, LLMError) as error:
        raise translated(error, "ensemble") from None
