"""Do finished requests arrive at a real OTLP receiver, by the names of the semantic conventions?"""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from actors.edge.otlp import OtlpExporter, Served
from actors.protocol.messages import Attempt, DecisionRecord, EnsembleReport, Usage, Vote
from tests.support.otlp_receiver import Received, attributes, otlp_receiver

DURATION = "gen_ai.client.operation.duration"
BACKENDS = {"a": Served("openai", "gpt-a"), "b": Served("llama_cpp", "qwen")}


def request(*attempts: Attempt, outcome: str = "ok", ensemble: EnsembleReport | None = None) -> DecisionRecord:
    return DecisionRecord(
        request_id="req_00000000000000000000beef",
        finished_at_s=1000.5,
        model="team",
        strategy="failover",
        backend="b",
        outcome=outcome,
        status=200 if outcome == "ok" else 503,
        latency_ms=500.0,
        overhead_ms=2.0,
        stream=True,
        attempts=attempts,
        usage=Usage(10, 5),
        cost_usd=0.25,
        ensemble=ensemble,
    )


FAILED = Attempt("a", "timeout", 100.0, started_ms=1.0)
ANSWERED = Attempt("b", "ok", 300.0, 50.0, Usage(10, 5), 0.25, started_ms=150.0)


@pytest.fixture
def receiver() -> Iterator[Received]:
    with otlp_receiver() as received:
        yield received


def sent(receiver: Received, *requests: DecisionRecord, is_sampled: bool = True) -> Received:
    exporter = OtlpExporter(receiver.url + "/", BACKENDS)
    for one in requests:
        exporter.note(one, is_sampled=is_sampled)
    exporter.close()
    return receiver


def test_a_request_is_a_span_with_a_child_per_call(receiver: Received) -> None:
    first, second, whole = sorted(
        sent(receiver, request(FAILED, ANSWERED)).spans, key=lambda span: span.end_time_unix_nano
    )

    assert (whole.name, first.name, second.name) == ("chat team", "chat gpt-a", "chat qwen")
    assert first.parent_span_id == second.parent_span_id == whole.span_id
    assert whole.trace_id.hex() == "0000000000000000000000000000beef"
    assert (whole.start_time_unix_nano, whole.end_time_unix_nano) == (1000_000_000_000, 1000_500_000_000)
    assert (second.start_time_unix_nano, second.end_time_unix_nano) == (1000_150_000_000, 1000_450_000_000)


def test_a_request_goes_on_in_the_trace_of_its_caller(receiver: Received) -> None:
    carried = replace(request(), traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

    (span,) = sent(receiver, carried).spans

    assert span.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert span.parent_span_id.hex() == "b7ad6b7169203331"


def test_a_broken_parent_is_none(receiver: Received) -> None:
    (span,) = sent(receiver, replace(request(), traceparent="00-nonsense")).spans

    assert not span.parent_span_id


def test_spans_speak_the_words_of_the_conventions(receiver: Received) -> None:
    first, second, whole = sorted(
        sent(receiver, request(FAILED, ANSWERED)).spans, key=lambda span: span.end_time_unix_nano
    )

    assert attributes(second) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "llama_cpp",
        "gen_ai.request.model": "qwen",
        "gen_ai.response.time_to_first_chunk": 0.05,
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "troupe.backend": "b",
        "troupe.cost_usd": 0.25,
    }
    assert (attributes(first)["error.type"], first.status.code, second.status.code) == ("timeout", 2, 0)
    assert attributes(whole)["troupe.request_id"] == "req_00000000000000000000beef"


def test_calls_are_counted_by_provider_and_model(receiver: Received) -> None:
    sent(receiver, request(FAILED, ANSWERED), request(ANSWERED))

    durations = {attributes(point)["gen_ai.request.model"]: point for point in receiver.metric(DURATION)}
    tokens = {
        attributes(point)["gen_ai.token.type"]: point.sum for point in receiver.metric("gen_ai.client.token.usage")
    }
    (first_chunk,) = receiver.metric("gen_ai.client.operation.time_to_first_chunk")
    assert (durations["qwen"].count, durations["qwen"].sum) == (2, pytest.approx(0.6))
    assert attributes(durations["gpt-a"])["error.type"] == "timeout"
    assert tokens == {"input": 20, "output": 10}
    assert first_chunk.count == 2


def test_the_gateway_itself_is_the_provider_of_its_requests(receiver: Received) -> None:
    sent(receiver, replace(request(), usage=Usage(10, 5, estimated=True)))

    (span,), (point,) = receiver.spans, receiver.metric("gen_ai.server.request.duration")
    told = attributes(span)
    assert (told["gen_ai.provider.name"], told["gen_ai.request.model"]) == ("troupe", "team")
    assert told["troupe.usage.estimated"] is True
    assert attributes(point) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "troupe",
        "gen_ai.request.model": "team",
    }


def test_what_is_not_sampled_is_counted_all_the_same(receiver: Received) -> None:
    sent(receiver, request(ANSWERED), is_sampled=False)

    assert not receiver.spans
    assert [point.count for point in receiver.metric("gen_ai.server.request.duration")] == [1]


def test_no_word_of_an_answer_is_sent(receiver: Received) -> None:
    report = EnsembleReport(1, 1, 1, "majority_vote", "b", 0.9, 1.0, False, False, [Vote("b", "the s3cret", 1.0)])

    sent(receiver, request(ANSWERED, ensemble=report))

    assert b"majority_vote" in receiver.raw
    assert b"s3cret" not in receiver.raw


def test_a_collector_that_is_away_hurts_nobody() -> None:
    exporter = OtlpExporter("http://127.0.0.1:9", BACKENDS)

    for _ in range(5_000):
        exporter.note(request(ANSWERED), is_sampled=True)
    exporter.close()

    assert not [thread.name for thread in threading.enumerate() if "Otel" in thread.name]
