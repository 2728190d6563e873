from collections.abc import Mapping
from typing import Any

from actors.ensembling.panel import AskVerifier, Done, Panel, PanelRules, Wait
from actors.protocol.trials import NotTried, Tried
from tests.unit.ensembling.test_panel import an_answer

BODY = {"messages": [{"role": "user", "content": "Write f, so that f(1) == 2 and doubles:\nf(2) == 4"}]}


def code(factor: int) -> str:
    return f"```python\ndef f(n):\n    return {factor} * n\n```"


def a_panel(body: Mapping[str, Any] = BODY, stage: int | None = None, judged: bool = False) -> Panel:
    return Panel(("a", "b", "c"), PanelRules("best_of_n", quorum=1, verified=True, stage=stage, judged=judged), body)


def trials(panel: Panel) -> AskVerifier:
    step = panel.step()
    assert isinstance(step, AskVerifier)
    return step


def done(panel: Panel) -> Done:
    step = panel.step()
    assert isinstance(step, Done)
    return step


def test_code_is_tried_as_soon_as_it_comes() -> None:
    panel = a_panel()
    panel.hear(an_answer("a", code(3)))

    (trial,) = trials(panel).trials

    assert trial.checks == ("assert f(1) == 2", "assert f(2) == 4")
    panel.hear_verifier([Tried(0, 2)])
    assert panel.step() == Wait(["b", "c"])


def test_code_that_passes_everything_ends_the_fan_out() -> None:
    panel = a_panel()
    panel.hear(an_answer("b", code(2)))
    trials(panel)
    panel.hear_verifier([Tried(2, 2)])

    step = done(panel)

    assert (step.answer.backend, step.cancel, step.report.decided_early) == ("b", ["a", "c"], True)
    assert step.report.degraded is False


def test_with_stages_nobody_else_is_asked_once_something_passes() -> None:
    panel = a_panel(stage=1)
    panel.hear(an_answer("a", code(2)))
    trials(panel)
    panel.hear_verifier([Tried(2, 2)])

    assert done(panel).report.asked == 1


def test_the_code_that_passes_most_wins_over_any_other_and_over_none() -> None:
    panel = a_panel()
    for name, text in (("a", "No code."), ("b", code(3)), ("c", code(4))):
        panel.hear(an_answer(name, text, logprob_mean=-0.01 if name == "a" else None))
    assert len(trials(panel).trials) == 2
    panel.hear_verifier([Tried(1, 2), Tried(0, 2)])

    step = done(panel)

    assert step.answer.backend == "b"
    assert step.report.reasons == ["1 of 3 answers have no verifier's verdict and could not compete"]


def test_the_same_code_is_tried_once() -> None:
    panel = a_panel()
    for name in ("a", "b", "c"):
        panel.hear(an_answer(name, code(3)))

    assert len(trials(panel).trials) == 1
    panel.hear_verifier([Tried(1, 2)])
    assert done(panel).report.answered == 3


def test_where_no_code_can_be_run_the_answer_says_so_and_nothing_more_is_tried() -> None:
    panel = a_panel()
    panel.hear(an_answer("a", code(3)))
    trials(panel)
    panel.hear_verifier([NotTried("unshare is refused here")])
    panel.hear(an_answer("b", code(2)))
    panel.hear(an_answer("c", code(2)))

    report = done(panel).report

    assert report.degraded is True
    assert report.reasons[0] == "no code was run: unshare is refused here"


def test_a_question_without_examples_is_decided_as_without_a_verifier() -> None:
    panel = a_panel({"messages": [{"role": "user", "content": "Write f."}]})
    for name in ("a", "b", "c"):
        panel.hear(an_answer(name, code(2), logprob_mean=-1.0 if name == "b" else -2.0))

    step = done(panel)

    assert (step.answer.backend, step.report.degraded) == ("b", False)
    assert step.report.reasons == ["the question gives no examples to run"]


def test_answers_without_code_are_told() -> None:
    panel = a_panel()
    for name in ("a", "b", "c"):
        panel.hear(an_answer(name, "No."))

    assert "no answer holds code" in done(panel).report.reasons


def test_after_the_deadline_nothing_is_tried() -> None:
    panel = a_panel()
    panel.hear(an_answer("a", code(2)))
    panel.expire(1000.0)

    assert done(panel).answer.backend == "a"
