"""Orchestrator: requests played on scripted models, without Ray or HTTP."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import orjson
import pytest

from actors.edge.gateway import ChatRequest, Wishes
from actors.edge.quality_watch import QualityWatch
from actors.ensembling.quality import Quality
from actors.optimizing.quality_predictor import packed, unpacked
from actors.optimizing.question_features import task_shares
from actors.optimizing.tasks.detector import TaskDetector
from actors.orchestrating.scene import Cast
from actors.orchestrator import Orchestrator
from actors.protocol.clock import SYSTEM_CLOCK, ManualClock
from actors.protocol.errors import CallerError, LLMError, UnknownModel
from actors.protocol.messages import Answer, DecisionRecord, Failure
from actors.protocol.predictions import Expected
from actors.protocol.trials import Verifier
from actors.providers.scripted import Scripted
from actors.resilience.rates import Bucket
from actors.routing.table import BackendRecord, ModelRecord, Price, RoutingTable
from actors.tracing.explanation import explanation

DETECT = TaskDetector.trained().detect
ANSWERS = {"a": "The answer is 42.", "b": "I get 42.", "c": "The answer is 41."}


class Theatre:
    """A cast of scripted backends, the models that are played on it, and the records that were written."""

    def __init__(
        self, scripts: Mapping[str, Mapping[str, Any]], *models: ModelRecord, verifier: Verifier | None = None
    ) -> None:
        self.providers = {name: Scripted(name, script) for name, script in scripts.items()}
        backends = {
            name: BackendRecord(name, "scripted", name, hosted=True, max_retries=0, price=Price(1.0, 2.0))
            for name in scripts
        }
        self.table = RoutingTable(1, backends, {model.name: model for model in models})
        self.records: list[DecisionRecord] = []
        cast = Cast(
            lambda backend: self.providers[backend.name],
            random.Random(1),
            verifier=verifier,
            detect=DETECT,
            describe=packed,
        )
        self.scored: list[Quality] = []
        self.watch = QualityWatch(self._score, 10)
        self.orchestrator = Orchestrator(cast, self.records.append, watch=self.watch)

    async def _score(self, found: Sequence[Quality]) -> None:
        self.scored.extend(found)

    def changed(self, **changes: Any) -> None:
        backends = {name: replace(backend, **changes) for name, backend in self.table.backends.items()}
        self.table = replace(self.table, backends=backends)

    async def ask(self, model: str, **fields: Any) -> dict[str, Any]:
        return (await self.orchestrator.complete(request(model, **fields), self.table)).body

    async def events(self, model: str, **fields: Any) -> list[dict[str, Any]]:
        reply = await self.orchestrator.open_stream(request(model, stream=True, **fields), self.table)
        return [orjson.loads(event) async for event in reply.events if event]


def request(model: str, **fields: Any) -> ChatRequest:
    given: dict[str, Any] = {
        "request_id": "req_1",
        "model": model,
        "body": {"messages": [{"role": "user", "content": "What is 6 times 7?"}]},
        "stream": False,
        "include_usage": False,
        "n": 1,
        "wishes": Wishes(),
        "key_name": None,
        "received_s": SYSTEM_CLOCK.monotonic_s(),
    }
    return ChatRequest(**{**given, **fields})


def says(**answers: str) -> dict[str, dict[str, Any]]:
    return {name: {"reply": text} for name, text in answers.items()}


FAILS: dict[str, Any] = {"faults": [{"kind": "error", "status": 500}]}
HANGS: dict[str, Any] = {"reply": "never", "delay_s": 60}


def text_of(events: Sequence[Mapping[str, Any]]) -> str:
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


PANEL = ModelRecord("panel", "ensemble", ["a", "b", "c"], merge="majority_vote", quorum=3)
FIRST = ModelRecord("first", "failover", ["a", "b"])


async def test_a_backend_answers_under_its_own_name() -> None:
    theatre = Theatre(says(**ANSWERS))

    body = await theatre.ask("b")

    assert body["choices"][0]["message"]["content"] == "I get 42."
    assert body["troupe"]["strategy"] == "single"
    assert [attempt["backend"] for attempt in body["troupe"]["attempts"]] == ["b"]


async def test_the_reply_and_the_record_tell_the_type_of_task() -> None:
    theatre = Theatre({"a": {"reply": "Paris"}})

    reply = await theatre.ask("a", body={"messages": [{"role": "user", "content": "What is the capital of France?"}]})

    assert reply["troupe"]["optimizer"]["task_type"] == "factual_question"
    [record] = theatre.records
    assert (record.task_type, len(record.task_permille)) == ("factual_question", 9)


async def test_under_load_the_type_is_told_where_it_decides_something_and_of_some_others() -> None:
    theatre = Theatre(says(a="4", b="4", c="4"), PANEL)

    theatre.orchestrator._asides = Bucket(60.0, ManualClock())  # two at once, then one a second
    for _ in range(5):
        await theatre.ask("a")
    await theatre.ask("panel")

    types = [record.task_type for record in theatre.records]
    assert types == ["math", "math", "unknown", "unknown", "unknown", "math"]


async def test_an_ensemble_gives_the_majoritys_answer_and_says_how() -> None:
    theatre = Theatre(says(**ANSWERS), PANEL)

    body = await theatre.ask("panel")

    ensemble = body["troupe"]["ensemble"]
    assert "42" in body["choices"][0]["message"]["content"]
    assert (ensemble["asked"], ensemble["answered"], ensemble["degraded"]) == (3, 3, False)
    assert {vote["backend"]: vote["answer"] for vote in ensemble["votes"]} == {"a": "42", "b": "42", "c": "41"}
    assert 0 < ensemble["confidence_01"] < 1


async def test_an_ensembles_usage_and_cost_are_those_of_all_calls() -> None:
    theatre = Theatre(says(a="42", b="42", c="42"), PANEL)

    body = await theatre.ask("panel")

    # Five words are asked and one is said, three times: 3 x (5 x $1 + 1 x $2) per million.
    assert body["usage"] == {"prompt_tokens": 15, "completion_tokens": 3, "total_tokens": 18}
    assert body["troupe"]["cost_usd"] == pytest.approx(21e-6)


async def test_one_failing_member_degrades_the_answer_but_does_not_fail_it() -> None:
    theatre = Theatre({**says(a="42", b="42"), "c": FAILS}, PANEL)

    ensemble = (await theatre.ask("panel"))["troupe"]["ensemble"]

    assert (ensemble["answered"], ensemble["degraded"]) == (2, True)
    assert [failure["backend"] for failure in ensemble["failures"]] == ["c"]
    assert any("quorum missed: 2 of 3" in reason for reason in ensemble["reasons"])


async def test_a_member_that_hangs_is_given_up_at_the_deadline_and_its_work_is_cancelled() -> None:
    theatre = Theatre({**says(a="42", b="42"), "c": HANGS}, replace(PANEL, deadline_s=0.1))

    ensemble = (await theatre.ask("panel"))["troupe"]["ensemble"]

    assert ensemble["degraded"]
    assert ensemble["failures"][0]["code"] in ("timeout", "deadline_exceeded")  # its call and the panel end together
    assert theatre.providers["c"].stats().in_flight == 0


async def test_with_the_winner_settled_the_rest_is_cancelled() -> None:
    theatre = Theatre({**says(a="42", b="42"), "c": HANGS}, replace(PANEL, quorum=2))

    ensemble = (await theatre.ask("panel"))["troupe"]["ensemble"]

    assert ensemble["decided_early"]
    assert not ensemble["degraded"]
    assert theatre.providers["c"].stats().cancelled == 1


async def test_an_ensemble_of_which_nobody_answers_is_an_error_that_names_each_cause() -> None:
    theatre = Theatre({"a": FAILS, "b": FAILS, "c": FAILS}, PANEL)

    with pytest.raises(LLMError, match=r"'a': .*'b': .*'c': ") as caught:
        await theatre.ask("panel")

    assert caught.value.status == 502
    assert theatre.records[0].outcome == "no_answer"


async def test_an_ensemble_may_have_a_failover_group_as_a_member() -> None:
    models = (
        ModelRecord("pair", "failover", ["a", "b"]),
        ModelRecord("outer", "ensemble", ["pair", "c"], merge="majority_vote", quorum=2),
    )
    theatre = Theatre({"a": FAILS, **says(b="42", c="42")}, *models)

    body = await theatre.ask("outer")

    assert [vote["backend"] for vote in body["troupe"]["ensemble"]["votes"]] == ["pair", "c"]
    assert not body["troupe"]["ensemble"]["degraded"]


async def test_best_of_n_asks_a_judge_in_both_orders() -> None:
    model = ModelRecord("best", "ensemble", ["a", "b"], merge="best_of_n", judge="judge", quorum=2)
    judge = {"replies": [{"match": "<answer_A>\nIt is 7", "text": "A"}, {"text": "B"}]}
    theatre = Theatre({**says(a="It is 6", b="It is 7"), "judge": judge}, model)

    body = await theatre.ask("best")

    assert body["troupe"]["ensemble"]["winner"] == "b"
    assert theatre.providers["judge"].stats().calls == 2


async def test_failover_goes_on_to_the_next_member() -> None:
    theatre = Theatre({"a": FAILS, **says(b="hello")}, FIRST)

    body = await theatre.ask("first")

    assert body["choices"][0]["message"]["content"] == "hello"
    assert [attempt["outcome"] for attempt in body["troupe"]["attempts"]] == ["upstream_error", "ok"]


async def test_the_callers_own_mistake_is_not_carried_to_the_next_member() -> None:
    refuses = {"faults": [{"kind": "error", "status": 400}]}
    theatre = Theatre({"a": refuses, **says(b="hello")}, FIRST)

    with pytest.raises(LLMError) as caught:
        await theatre.ask("first")

    assert caught.value.status == 400
    assert theatre.providers["b"].stats().calls == 0


async def test_a_hosted_model_is_asked_again_only_where_nobody_else_can_answer() -> None:
    flaky = {"reply": "hello", "faults": [{"on": 1, "kind": "error", "status": 503}]}
    theatre = Theatre({"a": flaky, **says(b="good day")}, FIRST)
    theatre.changed(max_retries=1)

    assert (await theatre.ask("first"))["choices"][0]["message"]["content"] == "good day"

    alone = Theatre({"a": flaky})
    alone.changed(max_retries=1)

    assert (await alone.ask("a"))["choices"][0]["message"]["content"] == "hello"


async def test_an_unknown_model_is_answered_with_near_names() -> None:
    with pytest.raises(UnknownModel, match="'panel'"):
        await Theatre(says(**ANSWERS), PANEL).ask("panl")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 3}, "n"),
        ({"wishes": Wishes(strategy="esemble")}, "troupe.strategy"),
        ({"wishes": Wishes(merge="loudest")}, "troupe.merge"),
        ({"wishes": Wishes(quorum=4)}, "troupe.quorum"),
        ({"wishes": Wishes(members=("a", "zz"))}, "troupe.members"),
    ],
)
async def test_what_an_ensemble_cannot_do_is_refused_with_the_parameter(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(CallerError) as caught:
        await Theatre(says(**ANSWERS), PANEL).ask("panel", **fields)

    assert caught.value.param == param


async def test_a_strategy_on_a_single_backend_is_refused() -> None:
    with pytest.raises(CallerError, match="single backend"):
        await Theatre(says(**ANSWERS)).ask("a", wishes=Wishes(strategy="ensemble"))


async def test_what_is_refused_before_anybody_is_asked_is_on_record_under_no_made_up_name() -> None:
    theatre = Theatre(says(**ANSWERS), PANEL)

    for model, fields in (("panl", {}), ("panel", {"n": 3})):
        with pytest.raises(LLMError):
            await theatre.ask(model, **fields)
    with pytest.raises(LLMError):
        await theatre.events("panl")

    assert [(one.model, one.outcome, one.status, one.stream) for one in theatre.records] == [
        ("unknown", "model_not_found", 404, False),
        ("panel", "invalid_request", 400, False),
        ("unknown", "model_not_found", 404, True),
    ]


async def test_a_wish_changes_the_strategy_of_one_request() -> None:
    theatre = Theatre(says(**ANSWERS), PANEL)

    body = await theatre.ask("panel", wishes=Wishes(strategy="failover"))

    assert body["troupe"]["strategy"] == "failover"
    assert "ensemble" not in body["troupe"]


async def test_no_more_calls_than_the_model_allows() -> None:
    theatre = Theatre({"a": FAILS, "b": FAILS}, replace(FIRST, max_attempts=1))
    theatre.changed(max_retries=5)

    with pytest.raises(LLMError):
        await theatre.ask("first", wishes=Wishes(max_attempts=1))

    assert sum(provider.stats().calls for provider in theatre.providers.values()) == 1


async def test_a_cost_limit_ends_the_asking() -> None:
    theatre = Theatre({"a": FAILS, **says(b="hello")}, replace(FIRST, max_cost_usd=0.0))

    with pytest.raises(LLMError, match="cost limit"):
        await theatre.ask("first")


async def test_a_stream_passes_the_words_on_and_ends_with_what_happened() -> None:
    events = await Theatre(says(a="one two three")).events("a")

    assert text_of(events).split() == ["one", "two", "three"]
    assert "troupe" in events[-1]
    assert events[-1]["choices"][0]["finish_reason"] == "stop"
    assert not any(event.get("usage") for event in events)


async def test_usage_is_streamed_to_those_who_asked_for_it() -> None:
    events = await Theatre(says(a="one two three")).events("a", include_usage=True)

    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] == 3
    assert events[-1]["troupe"]["backend"] == "a"


async def test_a_streamed_ensemble_gives_the_winners_text() -> None:
    events = await Theatre(says(**ANSWERS), PANEL).events("panel", include_usage=True)

    assert "42" in text_of(events)
    assert events[-1]["troupe"]["ensemble"]["answered"] == 3
    assert events[-1]["usage"]["total_tokens"] > 0


async def test_a_stream_fails_over_before_its_first_word() -> None:
    events = await Theatre({"a": FAILS, **says(b="hello")}, FIRST).events("first")

    assert text_of(events) == "hello"
    assert [attempt["backend"] for attempt in events[-1]["troupe"]["attempts"]] == ["a", "b"]


async def test_a_stream_that_is_cut_is_an_error_and_not_an_end() -> None:
    theatre = Theatre({"a": {"reply": "one two three four", "faults": [{"kind": "cut", "after_tokens": 2}]}})
    reply = await theatre.orchestrator.open_stream(request("a", stream=True), theatre.table)

    seen: list[bytes] = []
    with pytest.raises(LLMError):
        await collect(reply.events, seen)

    assert seen
    assert theatre.records[0].outcome not in ("ok", "cancelled")


async def collect(events: AsyncIterator[bytes], into: list[bytes]) -> None:
    async for event in events:
        into.append(event)  # noqa: PERF401  what came before an error counts


async def test_a_caller_who_leaves_a_stream_stops_the_model() -> None:
    theatre = Theatre({"a": {"reply": "one two three four", "tokens_per_s": 5}})
    reply = await theatre.orchestrator.open_stream(request("a", stream=True), theatre.table)

    async with aclosing(reply.events) as events:
        await anext(events)

    assert theatre.providers["a"].stats().in_flight == 0
    assert theatre.records[0].outcome == "cancelled"


async def test_the_time_of_a_stream_that_was_left_is_the_models_and_not_ours() -> None:
    theatre = Theatre({"a": {"reply": "one two three four", "tokens_per_s": 20}})
    reply = await theatre.orchestrator.open_stream(request("a", stream=True), theatre.table)

    async with aclosing(reply.events) as events:
        for _ in range(3):
            await anext(events)

    (record,) = theatre.records
    assert f"{record.overhead_ms:.3f}" == reply.headers["x-troupe-overhead-ms"]
    assert record.overhead_ms < record.latency_ms / 2


async def test_a_caller_who_leaves_an_ensemble_stops_all_members() -> None:
    theatre = Theatre({"a": HANGS, "b": HANGS, "c": HANGS}, PANEL)
    asking = asyncio.create_task(theatre.ask("panel"))
    await asyncio.sleep(0.05)

    asking.cancel()
    await asyncio.wait({asking})

    assert [provider.stats().in_flight for provider in theatre.providers.values()] == [0, 0, 0]
    assert theatre.records[0].outcome == "cancelled"


async def test_orchestrate_gives_every_backends_outcome_as_a_value() -> None:
    theatre = Theatre({**says(a="42", b="42"), "c": FAILS}, PANEL)

    outcomes = await theatre.orchestrator.orchestrate(request("panel"), theatre.table)

    assert [type(outcome) for outcome in outcomes] == [Answer, Answer, Failure]


async def test_every_request_is_recorded_once() -> None:
    theatre = Theatre(says(**ANSWERS), PANEL)
    await theatre.ask("panel")
    await theatre.events("a")

    assert [(record.model, record.outcome) for record in theatre.records] == [("panel", "ok"), ("a", "ok")]
    assert all(0 <= record.overhead_ms < record.latency_ms for record in theatre.records)


@pytest.mark.parametrize("model", ["a", "first", "panel"])
async def test_what_was_answered_is_looked_at_whether_whole_or_streamed(model: str) -> None:
    theatre = Theatre(says(a="I'm sorry, but I can't help.", b="42", c="42"), PANEL, FIRST)

    await theatre.ask(model)
    await theatre.watch.look()
    await theatre.events(model)
    await theatre.watch.look()

    asked = 3 if model == "panel" else 1
    assert [one.backend for one in theatre.scored] == list("abc")[:asked] * 2
    assert [one.flaws for one in theatre.scored if one.backend == "a"] == [("refused",)] * 2


async def test_a_request_says_on_which_table_it_was_decided_and_what_was_shut_then() -> None:
    theatre = Theatre(says(**ANSWERS), FIRST)
    theatre.changed(breaker="half_open")

    await theatre.ask("first")

    (record,) = theatre.records
    assert (record.table_version, record.unclosed[0]) == (1, ("a", "half_open"))
    assert 0 <= (record.attempts[0].started_ms or -1) <= record.latency_ms


class Foreseen:
    """Expects that `b` answers best whatever is asked."""

    version = 1
    boldness = 1.0

    def expected(self, features: str, task_type: str) -> Mapping[str, Expected]:
        return {"a": Expected(0.2, 0.1), "b": Expected(0.9, 0.1)}


async def test_a_learned_model_goes_by_what_is_predicted_of_the_question_and_tells_so() -> None:
    theatre = Theatre(says(**ANSWERS), ModelRecord("best", "learned", ["a", "b"], explore_share_01=0.0))
    theatre.table = replace(theatre.table, predictions=Foreseen())

    body = await theatre.ask("best")

    assert body["troupe"]["backend"] == "b"
    (record,) = theatre.records
    features = unpacked(record.features)
    assert features is not None
    assert task_shares(features).sum() == pytest.approx(1.0, abs=0.01)
    assert record.predicted == [("a", 0.2, 0.1), ("b", 0.9, 0.1)]
    assert explanation(record)["optimizer"]["predicted"][1] == {"name": "b", "quality_01": 0.9, "reach_01": 0.1}


async def test_of_others_no_question_is_looked_at() -> None:
    theatre = Theatre(says(**ANSWERS), FIRST, PANEL)
    theatre.table = replace(theatre.table, predictions=Foreseen())

    for model in ("first", "panel", "a"):
        await theatre.ask(model)

    assert {(record.features, tuple(record.predicted)) for record in theatre.records} == {("", ())}
