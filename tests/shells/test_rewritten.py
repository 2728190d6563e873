"""Are questions put in other ways only where that is wanted, and is it told, kept from harm and learned from?"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from actors.edge.gateway import ChatRequest, Wishes
from actors.optimizing.tasks.detector import TaskDetector
from actors.orchestrating.scene import Cast
from actors.orchestrator import Orchestrator
from actors.protocol.clock import SYSTEM_CLOCK
from actors.protocol.errors import CallerError
from actors.protocol.messages import Call, Completion, DecisionRecord, Feedback
from actors.protocol.patterns import Comparison, Gain
from actors.protocol.tasks import TASK_TYPES
from actors.providers.scripted import Scripted
from actors.rewriting.patterns import Pattern
from actors.rewriting.rewriter import Rewriter
from actors.routing.table import BackendRecord, ModelRecord, Price, RoutingTable

QUESTION = "Compute 17 * 23 and give me the number."
THINK = Pattern("think", "{question} Think.", min_tokens=10)
SHOW = Pattern("show", "{examples}\n{question}", ("creative",))
SURE = {"think": Gain(0.3, 0.1, 0.5, 60)}


class Slow(Scripted):
    """Thinks for a minute."""

    async def complete(self, call: Call) -> Completion:
        if call.body["messages"][-1]["content"].endswith("Think."):
            await asyncio.sleep(60)
        return await super().complete(call)


class Stage:
    """Scripted backends, each of which answers otherwise when it is told to think, and what was told of them."""

    def __init__(self, *models: ModelRecord, gains: Mapping[str, Any] | None = None, share_01: float = 1.0) -> None:
        plain = {"a": "The answer is 390.", "b": "The answer is 391.", "c": "The answer is 391."}
        self.backends = {
            name: Scripted(name, {"replies": [{"match": "Think.", "text": "The answer is 391."}, {"text": text}]})
            for name, text in plain.items()
        }
        records = {name: BackendRecord(name, "scripted", name, hosted=True, price=Price(1.0, 2.0)) for name in plain}
        learned = gains or {name: dict.fromkeys(TASK_TYPES, SURE) for name in plain}
        self.table = RoutingTable(1, records, {model.name: model for model in models}, gains=learned)
        self.records: list[DecisionRecord] = []
        self.compared: list[Comparison] = []
        rewriter = Rewriter({"think": THINK, "show": SHOW}, random.Random(1), share_01=share_01)
        detect = TaskDetector.trained().detect
        cast = Cast(lambda backend: self.backends[backend.name], random.Random(1), detect=detect)
        self.orchestrator = Orchestrator(cast, self.records.append, rewriter=rewriter, compare=self.compared.append)

    async def ask(
        self, model: str, question: str = QUESTION, body: Mapping[str, Any] | None = None, **wishes: Any
    ) -> Any:
        asked = {"messages": [{"role": "user", "content": question}], **(body or {})}
        now_s = SYSTEM_CLOCK.monotonic_s()
        request = ChatRequest("req_1", model, asked, False, False, 1, Wishes(**wishes), "ann", now_s)
        reply = (await self.orchestrator.complete(request, self.table)).body
        await asyncio.sleep(0.01)  # what is asked beside
        return reply


def told(reply: Any) -> tuple[str, str]:
    return reply["choices"][0]["message"]["content"], reply["troupe"]["optimizer"]["pattern"]


LIVE = ModelRecord("live", "failover", ["a"], rewrite="live")
SHADOW = ModelRecord("shadow", "failover", ["a"], rewrite="shadow")
NEVER = ModelRecord("never", "failover", ["a"])


async def test_a_live_model_asks_in_the_way_that_gains_and_says_so() -> None:
    stage = Stage(LIVE)

    answers = [told(await stage.ask("live")) for _ in range(40)]

    assert set(answers) == {("The answer is 391.", "think"), ("The answer is 390.", "plain")}
    assert answers.count(("The answer is 391.", "think")) > 30
    thinking = next(record for record in stage.records if record.pattern == "think")
    assert thinking.propensity_01 == pytest.approx(0.9)
    assert thinking.attempts[0].pattern == "think"


async def test_without_a_word_nothing_is_put_otherwise() -> None:
    stage = Stage(NEVER)

    assert {told(await stage.ask("never")) for _ in range(20)} == {("The answer is 390.", "plain")}
    assert told(await stage.ask("a")) == ("The answer is 390.", "plain")
    assert len(stage.records) == 21  # and nothing is asked beside


async def test_a_request_may_want_it_otherwise_than_its_model() -> None:
    stage = Stage(LIVE, NEVER)

    assert {told(await stage.ask("live", rewrite="never"))[1] for _ in range(20)} == {"plain"}
    assert "think" in {told(await stage.ask("never", rewrite="live"))[1] for _ in range(20)}
    assert told(await stage.ask("never", pattern="think")) == ("The answer is 391.", "think")
    assert told(await stage.ask("a", pattern="think")) == ("The answer is 391.", "think")


async def test_a_pattern_that_does_not_exist_is_refused_with_near_names() -> None:
    stage = Stage(NEVER)

    with pytest.raises(CallerError, match="Did you mean 'think'") as refusal:
        await stage.ask("never", pattern="thing")

    assert refusal.value.param == "troupe.pattern"
    assert [record.status for record in stage.records] == [400]


async def test_structured_requests_are_left_as_they_are() -> None:
    stage = Stage(LIVE)
    wanted = {"response_format": {"type": "json_object"}}

    assert {told(await stage.ask("live", body=wanted))[1] for _ in range(20)} == {"plain"}
    assert {told(await stage.ask("live", body={"max_tokens": 5}))[1] for _ in range(20)} == {"plain"}


async def test_in_the_shadow_the_answer_is_plain_and_another_way_is_compared_and_paid_for() -> None:
    stage = Stage(SHADOW)

    reply = await stage.ask("shadow")

    assert told(reply) == ("The answer is 390.", "plain")
    (compared,) = stage.compared
    assert (compared.request_id, compared.backend, compared.pattern) == ("req_1", "a", "think")
    assert (compared.plain, compared.rewritten, compared.expected) == ("390", "391", None)
    own, beside = stage.records
    assert (own.strategy, beside.strategy, beside.request_id) == ("failover", "shadow", "req_1.shadow")
    assert (beside.pattern, beside.key_name) == ("think", None)
    assert beside.cost_usd is not None
    assert own.cost_usd is not None
    assert reply["troupe"]["cost_usd"] == own.cost_usd


async def test_only_a_share_of_the_requests_is_asked_twice() -> None:
    stage = Stage(SHADOW, share_01=0.2)

    for _ in range(100):
        await stage.ask("shadow")

    assert 8 < len(stage.compared) < 35


async def test_of_an_ensemble_one_member_is_asked_again_and_the_others_say_what_was_expected() -> None:
    panel = ModelRecord("panel", "ensemble", ["a", "b", "c"], merge="majority_vote", quorum=3, rewrite="shadow")
    stage = Stage(panel)

    for _ in range(20):
        await stage.ask("panel")

    of_a = [one for one in stage.compared if one.backend == "a"]
    assert {(one.plain, one.rewritten, one.expected) for one in of_a} == {("390", "391", "391")}
    # Of the two others, those who are left do not agree.
    assert {one.backend for one in stage.compared} == {"a"}


async def test_each_member_of_a_live_ensemble_is_asked_in_its_own_best_way() -> None:
    panel = ModelRecord("panel", "ensemble", ["a", "b", "c"], merge="majority_vote", quorum=3, rewrite="live")
    stage = Stage(panel, gains={"a": dict.fromkeys(TASK_TYPES, SURE)})

    attempts = [attempt for _ in range(20) for attempt in (await stage.ask("panel"))["troupe"]["attempts"]]

    thinking = {attempt["backend"] for attempt in attempts if attempt.get("pattern") == "think"}
    assert "a" in thinking
    assert sum(attempt.get("pattern") == "think" for attempt in attempts if attempt["backend"] == "a") > 12


async def test_a_judge_is_asked_what_it_is_asked() -> None:
    panel = ModelRecord("panel", "ensemble", ["a", "b"], merge="best_of_n", judge="c", quorum=2, rewrite="live")
    stage = Stage(panel, gains={"c": dict.fromkeys(TASK_TYPES, SURE)})

    reply = await stage.ask("panel")

    judging = [attempt for attempt in reply["troupe"]["attempts"] if attempt["backend"] == "c"]
    assert judging
    assert all("pattern" not in attempt for attempt in judging)


async def test_good_answers_are_shown_as_examples_to_the_same_caller() -> None:
    stage = Stage(replace(LIVE, rewrite="live"), gains={"a": {"creative": {"show": SURE["think"]}}})
    poem = "Write a short poem about the sea."
    assert told(await stage.ask("live", poem))[1] == "plain"

    stage.orchestrator.judged(Feedback("req_1", correct=True))
    ways = {told(await stage.ask("live", "Write a short poem about the moon."))[1] for _ in range(20)}

    assert "show" in ways


async def test_stopping_gives_up_what_is_asked_beside() -> None:
    stage = Stage(SHADOW)
    stage.backends["a"] = Slow("a", {"reply": "It is 390."})
    await stage.ask("shadow")

    await asyncio.wait_for(stage.orchestrator.stop(), 1.0)

    assert stage.compared == []
