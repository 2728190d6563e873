"""Who is asked next, who is not, and what is the caller told in the end?"""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from actors.edge.gateway import ChatRequest
from actors.orchestrating.player import Opened, Player
from actors.orchestrating.scene import Cast, Scene
from actors.protocol.clock import Deadline, ManualClock
from actors.protocol.errors import LLMError
from actors.providers.scripted import Scripted
from actors.resilience.retry import AttemptBudget
from actors.routing.table import BackendRecord, Lease, ModelRecord, RoutingTable, Supports
from tests.shells.test_orchestrator import FAILS, Theatre, request

FIRST = ModelRecord("first", "failover", ["a", "b", "c"])
TOO_LONG = {"faults": [{"kind": "error", "status": 400, "code": "context_length_exceeded"}]}
TOOLS = [{"type": "function", "function": {"name": "look_up"}}]


def theatre_of(*models: ModelRecord, **scripts: dict[str, Any]) -> Theatre:
    return Theatre({"a": {"reply": "a"}, "b": {"reply": "b"}, "c": {"reply": "c"}, **scripts}, *(models or (FIRST,)))


def with_backends(theatre: Theatre, **changes: dict[str, Any]) -> Theatre:
    backends = dict(theatre.table.backends)
    for name, change in changes.items():
        backends[name] = replace(backends[name], **change)
    theatre.table = replace(theatre.table, backends=backends)
    return theatre


def calling(model: str = "first", **body: Any) -> ChatRequest:
    return request(model, body={"messages": [{"role": "user", "content": "hello"}], **body})


async def backend_of(theatre: Theatre, asked: ChatRequest) -> str:
    return str((await theatre.orchestrator.complete(asked, theatre.table)).body["troupe"]["backend"])


async def test_a_member_without_tools_is_left_out_and_the_reply_says_so() -> None:
    theatre = with_backends(theatre_of(), a={"supports": Supports(tools=False)})

    body = (await theatre.orchestrator.complete(calling(tools=TOOLS), theatre.table)).body["troupe"]

    assert body["backend"] == "b"
    assert body["excluded"] == [{"backend": "a", "reason": "it does not support tools"}]


async def test_when_no_member_can_take_a_request_the_reasons_are_told() -> None:
    theatre = theatre_of()
    theatre.changed(supports=Supports(tools=False))

    with pytest.raises(LLMError, match="'a': it does not support tools; 'b'") as refusal:
        await theatre.orchestrator.complete(calling(tools=TOOLS), theatre.table)

    assert (refusal.value.status, refusal.value.code) == (400, "unsupported")
    assert all(provider.stats().calls == 0 for provider in theatre.providers.values())


async def test_an_ensemble_leaves_out_who_cannot_take_the_request() -> None:
    panel = ModelRecord("panel", "ensemble", ["a", "b", "c"], merge="majority_vote", quorum=2)
    theatre = with_backends(theatre_of(panel), c={"supports": Supports(tools=False)})

    body = (await theatre.orchestrator.complete(calling("panel", tools=TOOLS), theatre.table)).body["troupe"]

    assert theatre.providers["c"].stats().calls == 0
    assert body["ensemble"]["failures"][0]["code"] == "unsupported"


async def test_after_a_too_long_prompt_only_larger_windows_are_asked() -> None:
    theatre = with_backends(
        theatre_of(a=TOO_LONG), a={"context_window": 8000}, b={"context_window": 4000}, c={"context_window": 32000}
    )

    assert await backend_of(theatre, calling()) == "c"
    assert theatre.providers["b"].stats().calls == 0


async def test_the_same_model_is_not_asked_again_with_a_too_long_prompt() -> None:
    theatre = with_backends(theatre_of(a=TOO_LONG), b={"model": "a"})

    assert await backend_of(theatre, calling()) == "c"
    assert theatre.providers["b"].stats().calls == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_retries_leave_an_attempt_for_each_member_that_was_not_asked(stream: bool) -> None:
    theatre = theatre_of(replace(FIRST, max_attempts=4), a=FAILS, b=FAILS)
    theatre.changed(max_retries=2, hosted=True)
    theatre.table = replace(
        theatre.table, backends={n: replace(b, hosted=False) for n, b in theatre.table.backends.items()}
    )

    if stream:
        await theatre.events("first")
    else:
        await theatre.ask("first")

    assert [attempt.backend for attempt in theatre.records[0].attempts] == ["a", "a", "b", "c"]


async def test_three_members_with_two_retries_each_stay_within_the_attempts() -> None:
    theatre = theatre_of(replace(FIRST, max_attempts=5), a=FAILS, b=FAILS, c=FAILS)
    theatre.table = replace(
        theatre.table, backends={n: replace(b, hosted=False, max_retries=2) for n, b in theatre.table.backends.items()}
    )

    with pytest.raises(LLMError, match="failed"):
        await theatre.ask("first")

    assert sum(provider.stats().calls for provider in theatre.providers.values()) == 5


async def test_when_to_come_again_is_the_smallest_wait_of_all_members() -> None:
    def limited(wait_s: float) -> dict[str, Any]:
        return {"faults": [{"kind": "error", "status": 429, "retry_after_s": wait_s}]}

    theatre = theatre_of(a=limited(70), b=limited(20), c=limited(50))

    with pytest.raises(LLMError) as failure:
        await theatre.ask("first")

    assert (failure.value.status, failure.value.retry_after_s) == (429, 20)


class RecordingSleep:
    """Lets the clock go on instead of waiting."""

    def __init__(self, clock: ManualClock) -> None:
        self.slept_s: list[float] = []
        self._clock = clock

    async def __call__(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self._clock.advance(seconds)


def limited_once(wait_s: float) -> dict[str, Any]:
    return {"reply": "at last", "faults": [{"on": 1, "kind": "error", "status": 429, "retry_after_s": wait_s}]}


class Waiting:
    """A player on scripted backends, with a clock of its own."""

    def __init__(self, deadline_s: float = 60.0, **scripts: dict[str, Any]) -> None:
        self.clock = ManualClock()
        self.sleep = RecordingSleep(self.clock)
        providers = {name: Scripted(name, script) for name, script in scripts.items()}
        backends = {name: BackendRecord(name, "openai", name, hosted=False, max_retries=1) for name in scripts}
        self.model = ModelRecord("first", "failover", list(scripts), deadline_s=deadline_s)
        self.table = RoutingTable(1, backends, {"first": self.model})
        cast = Cast(lambda backend: providers[backend.name], Random(1))
        self.player = Player(cast, self.clock, self.sleep)

    def scene(self, attempts: int = 6) -> Scene:
        deadline = Deadline.after(self.model.deadline_s, self.clock)
        return Scene("req_1", {"messages": []}, self.table, self.model, deadline, AttemptBudget(attempts), self.clock)

    async def asked(self) -> tuple[str, list[str]]:
        """Who answered, or the code of the failure; and who was asked."""
        scene = self.scene()
        outcome = await self.player.play(self.model, scene)
        return getattr(outcome, "code", outcome.backend), [attempt.backend for attempt in scene.attempts]


async def test_a_member_that_asks_for_a_long_wait_is_not_waited_for_while_another_is_well() -> None:
    play = Waiting(a=limited_once(30), b={"reply": "b"})

    assert await play.asked() == ("b", ["a", "b"])
    assert play.sleep.slept_s == []


async def test_when_nobody_else_is_left_the_one_that_is_back_first_is_waited_for() -> None:
    play = Waiting(a=limited_once(30), b=limited_once(20), c=FAILS)

    answered, asked = await play.asked()

    assert (answered, asked) == ("b", ["a", "b", "c", "c", "b"])
    assert len(play.sleep.slept_s) == 1
    assert 20 <= play.sleep.slept_s[0] <= 20.2


async def test_a_stream_waits_like_a_whole_answer() -> None:
    play = Waiting(a=limited_once(30), b=limited_once(20))

    opened = await play.player.open(play.model, play.scene())

    assert opened.backend == "b"
    assert isinstance(opened, Opened)
    await opened.chunks.aclose()


async def test_a_wait_that_the_deadline_does_not_allow_is_not_begun() -> None:
    play = Waiting(deadline_s=10, a=limited_once(30), b=limited_once(20))

    assert await play.asked() == ("rate_limit_exceeded", ["a", "b"])
    assert play.sleep.slept_s == []


async def test_the_next_request_asks_a_member_that_wants_rest_last_until_its_time_has_come() -> None:
    play = Waiting(a=limited_once(30), b={"reply": "b"})
    await play.asked()

    assert await play.asked() == ("b", ["b"])
    play.clock.advance(30)
    assert await play.asked() == ("a", ["a"])


async def test_a_member_with_an_open_breaker_is_asked_when_all_others_have_failed() -> None:
    theatre = with_backends(theatre_of(a=FAILS, b=FAILS), c={"breaker": "open"})

    assert await backend_of(theatre, calling()) == "c"


async def test_a_member_that_was_taken_out_of_service_is_never_asked() -> None:
    theatre = with_backends(theatre_of(a=FAILS, b=FAILS), c={"lease": Lease(None, None, is_revoked=True)})

    with pytest.raises(LLMError):
        await theatre.ask("first")
    assert theatre.providers["c"].stats().calls == 0
