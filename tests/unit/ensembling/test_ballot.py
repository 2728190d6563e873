import math
from typing import Any

import pytest

from actors.ensembling.ballot import Ballot, ballot_of, canonical_call
from actors.ensembling.wanted import Wanted
from actors.protocol.messages import Answer, Completion


def an_answer(text: str, finish_reason: str | None = "stop", **message: Any) -> Answer:
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text, **message}}]}
    return Answer("a", Completion(body, text, finish_reason, None, -0.5), latency_ms=1.0)


def test_a_ballot_votes_for_the_final_answer_of_the_reply() -> None:
    ballot = ballot_of(an_answer("The answer is (B)."), seat=2, prior_weight=0.3)

    assert (ballot.seat, ballot.final_answer, ballot.prior_weight, ballot.flaws) == (2, "B", 0.3, ())
    assert ballot.certainty_01 == pytest.approx(math.exp(-0.5))


def test_tool_calls_vote_by_name_and_canonical_arguments() -> None:
    call = {"id": "x", "type": "function", "function": {"name": "weather", "arguments": '{"b": 1.0, "a": "Rome"}'}}

    ballot = ballot_of(an_answer("", "tool_calls", tool_calls=[call]))

    assert ballot.final_answer == 'weather({"a":"Rome","b":1})'
    assert ballot.flaws == ()


def test_arguments_that_are_not_json_are_compared_as_they_stand() -> None:
    assert canonical_call({"function": {"name": "f", "arguments": "{broken"}}) == "f({broken)"


def test_where_json_was_asked_for_the_whole_object_votes() -> None:
    ballot = ballot_of(an_answer('```json\n{"b": 2, "a": 1.0}\n```'), wanted=Wanted(as_json=True))

    assert ballot.final_answer == '{"a":1,"b":2}'


def test_text_where_json_was_asked_for_is_malformed() -> None:
    ballot = ballot_of(an_answer("The answer is 5."), wanted=Wanted(as_json=True))

    assert (ballot.final_answer, ballot.flaws) == (None, ("malformed",))


@pytest.mark.parametrize(
    ("answer", "flaws"),
    [
        (an_answer(" "), ("empty",)),
        (an_answer("Once upon", "length"), ("truncated",)),
        (an_answer("", "length"), ("empty", "truncated")),
        (an_answer("", refusal="I cannot help."), ("refused",)),
        (an_answer("", "content_filter"), ("refused", "empty")),
    ],
)
def test_flaws_are_named_and_cost_weight_but_never_all_of_it(answer: Answer, flaws: tuple[str, ...]) -> None:
    ballot = ballot_of(answer)

    assert ballot.flaws == flaws
    assert 0 < ballot.quality_01 < 1


@pytest.mark.parametrize("weight", [-0.1, math.inf, math.nan])
def test_a_weight_that_is_no_weight_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="weight of 'a'"):
        ballot_of(an_answer("x"), prior_weight=weight)


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [None]}, {"choices": [{"message": None}]}])
def test_an_odd_completion_object_still_gives_a_ballot(body: dict[str, Any]) -> None:
    assert ballot_of(Answer("a", Completion(body, "Paris", "stop", None), 1.0)).final_answer == "paris"


@pytest.mark.parametrize(
    ("name", "arguments", "flaws"),
    [("weather", '{"city": "Rome"}', ()), ("weather", '{"city": ', ("malformed",)), ("wether", "{}", ("invalid",))],
)
def test_calls_of_what_is_no_tool_or_with_broken_arguments_are_flawed(
    name: str, arguments: str, flaws: tuple[str, ...]
) -> None:
    call = {"id": "x", "type": "function", "function": {"name": name, "arguments": arguments}}

    ballot = ballot_of(an_answer("", "tool_calls", tool_calls=[call]), wanted=Wanted(tools=frozenset(["weather"])))

    assert ballot.flaws == flaws


def test_texts_of_members_are_not_printed() -> None:
    assert "secret" not in repr(Ballot(0, "a", "secret", "secret"))


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("It begins well. " + "And so we add them, and the sum is the same as before. " * 6, True),
        ("ha" * 200, True),
        ("It begins well. " + "And so we add them, and the sum is the same as before. " * 3, False),
        ("1. one apple\n2. two apples\n3. three apples\n" * 2 + "The answer is 6.", False),
        ("short", False),
    ],
)
def test_a_text_that_ends_in_a_loop_is_flawed(text: str, loops: bool) -> None:
    completion = Completion({}, text, "stop", None)

    assert ("looping" in ballot_of(Answer("a", completion, 1.0)).flaws) == loops
