"""How do finished requests reach an OpenTelemetry collector?

Needs the extra `otel`: imported only where an endpoint is configured.
"""

import logging
import threading
from collections.abc import Mapping
from importlib.metadata import version
from typing import Final, NamedTuple

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from actors.protocol.messages import Attempt, DecisionRecord, Usage

METRICS_EVERY_S: Final = 10.0
PATIENCE_S: Final = 5.0  # for one batch; the collector is usually near
ENDS_WITHIN_S: Final = 2.0

# The boundaries that the semantic conventions for generative AI advise.
DURATIONS_S: Final = [0.01 * 2**n for n in range(14)]
TOKENS: Final = [float(4**n) for n in range(14)]

_CARRIED: Final = TraceContextTextMapPropagator()

Value = str | bool | int | float
Attributes = dict[str, Value]


OURS: Final[Attributes] = {"gen_ai.provider.name": "troupe"}


class Served(NamedTuple):
    """What a backend is: its provider, and the name of the model there."""

    provider: str
    model: str


class RequestIds(RandomIdGenerator):
    """Gives a trace the number in its request's id, so that either finds the other."""

    def __init__(self) -> None:
        self.request_id = ""

    def generate_trace_id(self) -> int:
        try:
            return int(self.request_id.rpartition("_")[2], 16) & (2**128 - 1) or super().generate_trace_id()
        except ValueError:
            return super().generate_trace_id()


class OtlpExporter:
    """Finished requests as traces and metrics, sent by OTLP over HTTP under an `endpoint` such as
    `http://127.0.0.1:4318`.

    A request is a span, a child of the caller's if there is one, with one child per upstream call; names are those of
    the OpenTelemetry semantic conventions for generative AI. No prompt and no answer is in them. It sends in the
    background, from bounded queues: while a collector is away, spans are dropped and nothing waits.
    """

    def __init__(self, endpoint: str, backends: Mapping[str, Served]) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # it tells of each try of each batch
        self._backends = backends
        base = endpoint.rstrip("/")
        resource = Resource.create({"service.name": "troupe", "service.version": version("raytroupe")})
        self._ids = RequestIds()
        self._spans = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        spans = OTLPSpanExporter(f"{base}/v1/traces", timeout=PATIENCE_S)
        self._spans.add_span_processor(BatchSpanProcessor(spans, schedule_delay_millis=1000))
        self._tracer = self._spans.get_tracer("troupe")
        metrics = OTLPMetricExporter(f"{base}/v1/metrics", timeout=PATIENCE_S)
        self._exporters = (spans, metrics)
        reader = PeriodicExportingMetricReader(metrics, METRICS_EVERY_S * 1000, PATIENCE_S * 1000)
        self._meters = MeterProvider([reader], resource, shutdown_on_exit=False)
        meter = self._meters.get_meter("troupe")
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "Upstream calls", explicit_bucket_boundaries_advisory=DURATIONS_S
        )
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "Time until the first token of streams",
            explicit_bucket_boundaries_advisory=DURATIONS_S,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of calls", explicit_bucket_boundaries_advisory=TOKENS
        )
        self._requests = meter.create_histogram(
            "gen_ai.server.request.duration",
            "s",
            "Requests to the gateway",
            explicit_bucket_boundaries_advisory=DURATIONS_S,
        )

    def note(self, request: DecisionRecord, *, is_sampled: bool) -> None:
        """Counts a finished request; one that is sampled is sent as a trace as well. Never waits."""
        attributes = _operation(request.model) | OURS | _failure(request.outcome)
        self._requests.record(request.latency_ms / 1e3, attributes)
        for attempt in request.attempts:
            self._count(attempt)
        if is_sampled:
            self._trace(request)

    def close(self) -> None:
        """Sends what is left; blocks for about `ENDS_WITHIN_S`, then a collector that is away is tried no longer."""
        ending = threading.Thread(target=self._shut_down, daemon=True)
        ending.start()
        ending.join(ENDS_WITHIN_S)
        for exporter in self._exporters:
            exporter.shutdown()
        ending.join(ENDS_WITHIN_S)

    def _shut_down(self) -> None:
        self._spans.shutdown()
        self._meters.shutdown()

    def _count(self, attempt: Attempt) -> None:
        attributes = self._call(attempt)
        self._duration.record(attempt.latency_ms / 1e3, attributes | _failure(attempt.outcome))
        if attempt.ttft_ms is not None:
            self._first_chunk.record(attempt.ttft_ms / 1e3, attributes)
        if attempt.usage is not None:
            self._tokens.record(attempt.usage.prompt_tokens, attributes | {"gen_ai.token.type": "input"})
            self._tokens.record(attempt.usage.completion_tokens, attributes | {"gen_ai.token.type": "output"})

    def _trace(self, request: DecisionRecord) -> None:
        began_s = request.finished_at_s - request.latency_ms / 1e3
        self._ids.request_id = request.request_id
        span = self._tracer.start_span(
            f"chat {request.model}",
            context=_CARRIED.extract({"traceparent": request.traceparent}) if request.traceparent else None,
            kind=SpanKind.SERVER,
            attributes=_told(request),
            start_time=_ns(began_s),
        )
        context = set_span_in_context(span)
        for attempt in request.attempts:
            self._trace_call(attempt, began_s, context)
        if failure := _failure(request.outcome):
            span.set_status(Status(StatusCode.ERROR, str(failure["error.type"])))
        span.end(_ns(request.finished_at_s))

    def _trace_call(self, attempt: Attempt, began_s: float, context: object) -> None:
        placed_s = began_s + (attempt.started_ms or 0.0) / 1e3
        attributes = self._call(attempt) | {"troupe.backend": attempt.backend} | _failure(attempt.outcome)
        if attempt.usage is not None:
            attributes |= _used(attempt.usage)
        if attempt.cost_usd is not None:
            attributes["troupe.cost_usd"] = attempt.cost_usd
        if attempt.ttft_ms is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = attempt.ttft_ms / 1e3
        span = self._tracer.start_span(
            f"chat {attributes['gen_ai.request.model']}",
            context=context,  # type: ignore[arg-type]  # the SDK's own
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=_ns(placed_s),
        )
        if failure := _failure(attempt.outcome):
            span.set_status(Status(StatusCode.ERROR, str(failure["error.type"])))
        span.end(_ns(placed_s + attempt.latency_ms / 1e3))

    def _call(self, attempt: Attempt) -> Attributes:
        served = self._backends.get(attempt.backend, Served("unknown", attempt.backend))
        return _operation(served.model) | {"gen_ai.provider.name": served.provider}


def _operation(model: str) -> Attributes:
    return {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}


def _failure(outcome: str) -> Attributes:
    return {} if outcome in ("ok", "cancelled") else {"error.type": outcome}


def _used(usage: Usage) -> Attributes:
    told: Attributes = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
    }
    return told | {"troupe.usage.estimated": True} if usage.estimated else told


def _told(request: DecisionRecord) -> Attributes:
    told: dict[str, Value | None] = {
        **_operation(request.model),
        **OURS,
        **_failure(request.outcome),
        **(_used(request.usage) if request.usage else {}),
        "gen_ai.request.stream": request.stream,
        "http.response.status_code": request.status,
        "troupe.request_id": request.request_id,
        "troupe.strategy": request.strategy,
        "troupe.backend": request.backend,
        "troupe.outcome": request.outcome,
        "troupe.overhead_ms": request.overhead_ms,
        "troupe.cost_usd": request.cost_usd,
        "troupe.task_type": request.task_type,
        "troupe.key": request.key_name,
    }
    if request.ensemble is not None:
        told["troupe.ensemble.merge"] = request.ensemble.merge
        told["troupe.ensemble.confidence_01"] = request.ensemble.confidence_01
        told["troupe.ensemble.degraded"] = request.ensemble.degraded
    return {name: value for name, value in told.items() if value is not None}


def _ns(moment_s: float) -> int:
    return round(moment_s * 1e9)
