"""Who is asked next, who is not, and what is the caller told in the end?"""

from dataclasses import replace
from typing import Any

import pytest

from actors.edge.gateway import ChatRequest
from actors.protocol.errors import LLMError
from actors.routing.table import ModelRecord, Supports
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
