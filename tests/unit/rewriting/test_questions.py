from typing import Any

import pytest

from actors.rewriting.questions import max_tokens_of, question_of, with_question

SYSTEM = {"role": "system", "content": "Be brief."}
EARLIER = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
LAST = {"role": "user", "content": "6 times 7?", "name": "ann"}


def body(*messages: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    return {"messages": list(messages), **parameters}


def test_the_question_is_what_the_user_said_last() -> None:
    assert question_of(body(SYSTEM, *EARLIER, LAST)) == "6 times 7?"


@pytest.mark.parametrize(
    "asked",
    [
        body(LAST, tools=[{"type": "function"}]),
        body(LAST, response_format={"type": "json_object"}),
        body(LAST, logprobs=True),
        body(LAST, {"role": "assistant", "content": "It is"}),
        body({"role": "user", "content": [{"type": "text", "text": "what is this?"}]}),
        body({"role": "tool", "content": "42", "tool_call_id": "c"}),
        body({"role": "user", "content": ""}),
    ],
)
def test_what_is_more_than_a_question_in_words_stays_as_it_is(asked: dict[str, Any]) -> None:
    assert question_of(asked) is None


def test_nothing_but_the_last_question_is_replaced_and_the_original_stays() -> None:
    original = body(SYSTEM, *EARLIER, LAST, temperature=0.5)

    put = with_question(original, "Think. 6 times 7?")

    assert put == body(SYSTEM, *EARLIER, {**LAST, "content": "Think. 6 times 7?"}, temperature=0.5)
    assert original["messages"][-1]["content"] == "6 times 7?"


def test_a_begun_answer_stays_behind_the_question() -> None:
    put = with_question(body(LAST, {"role": "assistant", "content": "It is 4"}), "New?")

    assert [message["content"] for message in put["messages"]] == ["New?", "It is 4"]


def test_either_limit_for_the_answer_counts() -> None:
    assert max_tokens_of(body(LAST, max_tokens=50)) == 50
    assert max_tokens_of(body(LAST, max_completion_tokens=60)) == 60
    assert max_tokens_of(body(LAST)) is None
