"""A collector of traces and metrics that a test can look into: OTLP over HTTP, in a thread."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(slots=True)
class Received:
    """What has come in: spans and metrics as OTLP's own messages, newest last."""

    url: str
    spans: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    raw: bytes = b""

    def metric(self, name: str) -> list[Any]:
        """The data points of a histogram, as they came last."""
        found = [metric for metric in self.metrics if metric.name == name]
        return list(found[-1].histogram.data_points) if found else []


def attributes(of: Any) -> dict[str, Any]:
    """The attributes of a span or of a data point."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}


@contextmanager
def otlp_receiver() -> Iterator[Received]:
    """A collector on a free port, for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            received.raw += body
            if self.path == "/v1/traces":
                traces = ExportTraceServiceRequest.FromString(body)
                received.spans += [
                    span for one in traces.resource_spans for scope in one.scope_spans for span in scope.spans
                ]
            elif self.path == "/v1/metrics":
                metrics = ExportMetricsServiceRequest.FromString(body)
                received.metrics += [
                    metric
                    for one in metrics.resource_metrics
                    for scope in one.scope_metrics
                    for metric in scope.metrics
                ]
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received = Received(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()
