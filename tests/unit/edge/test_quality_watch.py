from collections.abc import Sequence

import pytest

from actors.edge.quality_watch import QualityWatch, agreement
from actors.ensembling.quality import Quality
from actors.protocol.messages import Answer, Completion, EnsembleReport, JsonObject, Vote

BODY: JsonObject = {"messages": [{"role": "user", "content": "How much is 6 times 7?"}]}


def answer(backend: str, text: str) -> Answer:
    body = {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    return Answer(backend, Completion(body, text, "stop", None), 1.0)


@pytest.fixture
def told() -> list[Quality]:
    return []


@pytest.fixture
def watch(told: list[Quality]) -> QualityWatch:
    async def tell(found: Sequence[Quality]) -> None:
        told.extend(found)

    return QualityWatch(tell, 2)


async def test_what_was_given_is_scored_later(watch: QualityWatch, told: list[Quality]) -> None:
    watch.see(BODY, [answer("a", "It is 42.")], None)
    watch.see_stream(BODY, "b", "It is", "length", True)
    assert told == []

    await watch.look()

    assert [(one.backend, one.score_01, one.flaws) for one in told] == [("a", 1.0, ()), ("b", 0.6, ("truncated",))]


async def test_no_more_than_so_many_are_taken_between_two_looks(watch: QualityWatch, told: list[Quality]) -> None:
    for _ in range(5):
        watch.see(BODY, [answer("a", "It is 42.")], None)
    assert watch.is_full

    await watch.look()
    await watch.look()

    assert len(told) == 2
    assert not watch.is_full


async def test_members_of_an_ensemble_are_scored_beside_each_other(watch: QualityWatch, told: list[Quality]) -> None:
    votes = [Vote("a", "42", 0.5), Vote("b", "41", 0.25), Vote("c", "42", 0.25), Vote("d", None, 0.0)]
    report = EnsembleReport(4, 4, 3, "majority_vote", "a", 0.8, 0.75, False, False, votes)

    watch.see(BODY, [answer(name, "It is what it is.") for name in "abcd"], report)
    await watch.look()

    assert agreement(votes) == {"a": 0.75, "b": 0.25, "c": 0.75}
    assert [one.score_01 for one in told] == [0.875, 0.625, 0.875, 1.0]


async def test_a_streamed_tool_call_is_not_empty(watch: QualityWatch, told: list[Quality]) -> None:
    watch.see_stream(BODY, "a", "", "tool_calls", False)

    await watch.look()

    assert told[0].flaws == ()
