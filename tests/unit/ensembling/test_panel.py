from collections.abc import Sequence

import pytest

from actors.ensembling.judging import JudgeReply
from actors.ensembling.panel import AskJudge, Done, Failed, Panel, PanelRules, Wait
from actors.protocol.messages import Answer, Completion, Failure

BODY = {"messages": [{"role": "user", "content": "What is 6 * 7?"}]}


def an_answer(backend: str, text: str, logprob_mean: float | None = None) -> Answer:
    body = {"choices": [{"message": {"role": "assistant", "content": text}}]}
    return Answer(backend, Completion(body, text, "stop", None, logprob_mean), latency_ms=5.0)


def a_failure(backend: str) -> Failure:
    return Failure(backend, "timeout", "It took too long.", 504, True, 100.0)


def a_panel(members: Sequence[str] = ("a", "b", "c"), merge: str = "weighted_consensus", judged: bool = False) -> Panel:
    return Panel(members, PanelRules(merge, judged=judged), BODY)


def test_it_waits_for_members_that_can_change_the_result() -> None:
    panel = a_panel()
    panel.hear(an_answer("b", "42"))

    assert panel.step() == Wait(["a", "c"])


def test_two_of_three_that_agree_end_it_early_and_the_third_is_cancelled() -> None:
    panel = a_panel()
    panel.hear(an_answer("b", "42"))
    panel.hear(an_answer("c", "The answer is 42."))

    step = panel.step()

    assert isinstance(step, Done)
    assert (step.answer.backend, step.cancel) == ("b", ["a"])
    assert (step.report.decided_early, step.report.degraded, step.report.answered) == (True, False, 2)
    assert [(vote.backend, vote.answer, vote.weight) for vote in step.report.votes] == [
        ("b", "42", 0.5),
        ("c", "42", 0.5),
    ]


def test_a_failing_member_degrades_the_answer_and_is_named() -> None:
    panel = a_panel()
    panel.hear(a_failure("a"))
    panel.hear(an_answer("b", "41"))
    panel.hear(an_answer("c", "42"))

    step = panel.step()

    assert isinstance(step, Done)
    assert (step.report.degraded, step.report.reasons) == (True, ["'a' failed: timeout"])
    assert [failure.backend for failure in step.report.failures] == ["a"]


def test_fewer_answers_than_the_quorum_give_the_best_available_one_degraded() -> None:
    panel = a_panel()
    panel.hear(a_failure("a"))
    panel.hear(a_failure("b"))
    panel.hear(an_answer("c", "42"))

    step = panel.step()

    assert isinstance(step, Done)
    assert step.answer.backend == "c"
    assert step.report.reasons[0] == "quorum missed: 1 of 2 answers"
    assert step.report.confidence_01 is None


def test_without_any_answer_it_fails_with_every_reason() -> None:
    panel = a_panel(["a", "b"])
    panel.hear(a_failure("b"))
    panel.hear(a_failure("a"))

    step = panel.step()

    assert isinstance(step, Failed)
    assert [failure.backend for failure in step.failures] == ["a", "b"]
    assert (step.report.winner, step.report.degraded, step.report.answered) == (None, True, 0)


def test_the_deadline_ends_the_waiting_with_what_is_there() -> None:
    panel = a_panel()
    panel.hear(an_answer("b", "42"))
    panel.expire(after_ms=900.0)

    step = panel.step()

    assert isinstance(step, Done)
    assert step.report.reasons == [
        "deadline expired",
        "quorum missed: 1 of 2 answers",
        "'a' failed: deadline_exceeded",
        "'c' failed: deadline_exceeded",
    ]
    assert step.cancel == []


def test_the_deadline_before_any_answer_is_a_failure() -> None:
    panel = a_panel()
    panel.expire(after_ms=900.0)

    step = panel.step()

    assert isinstance(step, Failed)
    assert {failure.code for failure in step.failures} == {"deadline_exceeded"}


def test_a_heavy_member_alone_does_not_end_it_before_the_quorum_is_there() -> None:
    panel = Panel(["a", "b", "c"], PanelRules(weights={"a": 9.0}, quorum=2), BODY)
    panel.hear(an_answer("a", "42"))
    assert isinstance(panel.step(), Wait)

    panel.hear(an_answer("b", "41"))

    step = panel.step()
    assert isinstance(step, Done)
    assert (step.answer.backend, step.report.decided_early) == ("a", True)


def test_a_backend_may_sit_in_the_panel_more_than_once() -> None:
    panel = a_panel(["a", "a"])
    panel.hear(an_answer("a", "42"))
    panel.hear(an_answer("a", "42"))

    step = panel.step()

    assert isinstance(step, Done)
    assert [vote.backend for vote in step.report.votes] == ["a", "a"]


def test_an_outcome_that_nobody_waits_for_is_an_error() -> None:
    panel = a_panel(["a"])
    panel.hear(an_answer("a", "42"))

    with pytest.raises(ValueError, match="'a'"):
        panel.hear(an_answer("a", "42"))


def test_the_judge_compares_one_answer_of_each_group_and_decides() -> None:
    panel = a_panel(merge="best_of_n", judged=True)
    for backend, text in (("a", "41"), ("b", "42"), ("c", "42")):
        panel.hear(an_answer(backend, text))

    asked = panel.step()
    assert isinstance(asked, AskJudge)
    # "42" weighs most and is candidate 0
    panel.hear_judge([JudgeReply("A" if question.first == 0 else "B") for question in asked.questions])

    step = panel.step()
    assert isinstance(step, Done)
    assert (len(asked.questions), step.answer.backend, step.report.degraded) == (2, "b", False)


def test_a_judge_has_nothing_to_do_where_all_agree() -> None:
    panel = a_panel(["a", "b"], merge="best_of_n", judged=True)
    panel.hear(an_answer("a", "42"))
    panel.hear(an_answer("b", "42"))

    assert isinstance(panel.step(), Done)


def test_a_failed_judge_leaves_the_logprobs_to_decide_and_is_declared() -> None:
    panel = a_panel(["a", "b"], merge="best_of_n", judged=True)
    panel.hear(an_answer("a", "41", -2.0))
    panel.hear(an_answer("b", "42", -0.1))
    panel.step()
    panel.hear_judge([None, JudgeReply("Hm.")])

    step = panel.step()

    assert isinstance(step, Done)
    assert (step.answer.backend, step.report.degraded) == ("b", True)
    assert step.report.reasons == ["judge failed: none of its comparisons could be read"]


def test_a_deadline_while_the_judge_thinks_ends_without_it() -> None:
    panel = a_panel(["a", "b"], merge="best_of_n", judged=True)
    panel.hear(an_answer("a", "41", -2.0))
    panel.hear(an_answer("b", "42", -0.1))
    panel.step()
    panel.expire(after_ms=900.0)

    step = panel.step()

    assert isinstance(step, Done)
    assert step.report.reasons == ["deadline expired"]


def test_only_best_of_n_asks_the_judge() -> None:
    panel = a_panel(["a", "b"], merge="majority_vote", judged=True)
    panel.hear(an_answer("a", "41"))
    panel.hear(an_answer("b", "42"))

    assert isinstance(panel.step(), Done)


def test_with_response_format_json_whole_objects_vote_and_other_text_hardly_counts() -> None:
    panel = Panel(["a", "b", "c"], PanelRules(), {**BODY, "response_format": {"type": "json_object"}})
    panel.hear(an_answer("a", "The answer is 1."))
    panel.hear(an_answer("b", '{"x": 1, "y": 2}'))
    panel.hear(an_answer("c", '{"y": 2.0, "x": 1}'))

    step = panel.step()

    assert isinstance(step, Done)
    assert step.answer.backend == "b"
    assert step.report.support_01 is not None
    assert step.report.support_01 > 0.95


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
AS_JSON = {**BODY, "response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": SCHEMA}}}


def test_the_winner_fits_the_schema_and_is_given_as_bare_json() -> None:
    panel = Panel(("a", "b", "c"), PanelRules("majority_vote", quorum=3), AS_JSON)
    panel.hear(an_answer("a", '{"town": "Rome"}'))
    panel.hear(an_answer("b", '{"town": "Rome"}'))
    panel.hear(an_answer("c", 'Gladly:\n```json\n{"city": "Rome"}\n```'))

    step = panel.step()

    assert isinstance(step, Done)
    assert (step.answer.backend, step.answer.text) == ("c", '{"city": "Rome"}')
    assert step.answer.completion.body["choices"][0]["message"]["content"] == '{"city": "Rome"}'
    assert step.report.degraded is False


def test_where_no_answer_fits_the_schema_the_best_is_given_degraded() -> None:
    panel = Panel(("a", "b"), PanelRules("majority_vote", quorum=2), AS_JSON)
    panel.hear(an_answer("a", "Rome"))
    panel.hear(an_answer("b", '{"town": "Rome"}'))

    step = panel.step()

    assert isinstance(step, Done)
    assert step.report.reasons == ["no answer has the shape that was asked for"]
    assert step.report.degraded is True
