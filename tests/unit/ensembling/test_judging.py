import math

import pytest

from actors.ensembling.judging import JudgeReply, preference_01, questions, reply_of, scores
from actors.protocol.messages import Completion

ASKED = questions([{"role": "user", "content": "Which is bigger?"}], ["one", "two", "three"])


def test_every_pair_is_asked_in_both_orders() -> None:
    assert sorted((question.first, question.second) for question in ASKED) == [
        (0, 1),
        (0, 2),
        (1, 0),
        (1, 2),
        (2, 0),
        (2, 1),
    ]


def test_a_question_shows_the_conversation_and_both_answers_and_asks_for_one_letter() -> None:
    body = ASKED[0].body
    shown = body["messages"][1]["content"]

    assert "user: Which is bigger?" in shown
    assert shown.index("one") < shown.index("two")
    assert (body["temperature"], body["max_tokens"]) == (0, 4)
    assert "logprobs" not in body


def test_logprobs_are_asked_for_only_where_wanted_and_only_the_text_of_parts_is_shown() -> None:
    parts = [{"type": "text", "text": "See this"}, {"type": "image_url", "image_url": {"url": "data:..."}}]

    body = questions([{"role": "user", "content": parts}], ["x", "y"], logprobs=True)[0].body

    assert body["logprobs"] is True
    assert "See this" in body["messages"][1]["content"]
    assert "data:" not in body["messages"][1]["content"]


def test_at_most_four_candidates_are_compared() -> None:
    assert len(questions([], [str(number) for number in range(9)])) == 12


def test_a_judge_that_always_says_a_prefers_nobody() -> None:
    assert scores(ASKED, [JudgeReply("A")] * 6) == {0: 0.5, 1: 0.5, 2: 0.5}


def test_a_consistent_judge_ranks_the_candidates() -> None:
    replies = [JudgeReply("A" if question.first < question.second else "B") for question in ASKED]

    assert scores(ASKED, replies) == {0: 1.0, 1: 0.5, 2: 0.0}


def test_a_pair_with_an_unreadable_reply_does_not_count() -> None:
    asked = questions([], ["x", "y", "z"])
    replies = [JudgeReply("A") if 2 not in (q.first, q.second) else None for q in asked]

    assert scores(asked, replies) == {0: 0.5, 1: 0.5}


def test_a_judge_that_cannot_be_read_at_all_gives_no_scores() -> None:
    assert scores(ASKED, [JudgeReply("Both are good")] * 3 + [None] * 3) is None


def test_logprobs_give_a_graded_preference_in_which_position_bias_cancels() -> None:
    asked = questions([], ["x", "y"])
    replies = [
        JudgeReply("A", {"A": math.log(0.9), " B": math.log(0.1)}),
        JudgeReply("A", {"A": math.log(0.6), "B": math.log(0.4)}),
    ]

    found = scores(asked, replies)

    assert found is not None
    assert found[0] == pytest.approx((0.9 + 0.4) / 2)
    assert found[0] + found[1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("A", 1.0),
        (" b.", 0.0),
        ("**B**", 0.0),
        ("Answer: A", 1.0),
        ("A or B", None),
        ("A/B", None),
        ("Apples", None),
        ("", None),
    ],
)
def test_a_letter_is_read_and_nothing_else(said: str, expected: float | None) -> None:
    assert preference_01(JudgeReply(said)) == expected


def test_logprobs_that_name_neither_letter_leave_the_text_to_decide() -> None:
    assert preference_01(JudgeReply("B", {"The": -0.1})) == 0.0


def test_a_completion_becomes_a_reply_with_or_without_logprobs() -> None:
    alternatives = [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -2.3}]
    body = {"choices": [{"logprobs": {"content": [{"token": "A", "top_logprobs": alternatives}]}}]}

    assert reply_of(Completion(body, "A", "stop", None)) == JudgeReply("A", {"A": -0.1, "B": -2.3})
    assert reply_of(Completion({"choices": [{"logprobs": None}]}, "A", "stop", None)) == JudgeReply("A", None)
