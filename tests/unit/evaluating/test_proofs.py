"""Recorded code that is tried: what each panel would have given, and what that gains."""

import random
from io import StringIO
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from actors.evaluating.comparison import BEST_SINGLE, ORACLE, PROVED, PROVED_IN_TURN, compare, gain, plans_for_code
from actors.evaluating.panels import of_middle_strength, suite
from actors.evaluating.proofs import prove, trials_of
from actors.evaluating.recorded import Marker, Question, Reply
from actors.evaluating.replay import Member
from actors.evaluating.screen import evaluate
from actors.evaluating.statistics import paired_gain
from actors.protocol.errors import ConfigError
from actors.protocol.trials import NotTried, Trial, TrialResult, Tried

MODELS = ("a", "b", "c")


class Reading:
    """A verifier that passes whatever says `right`."""

    async def try_out(self, trial: Trial) -> TrialResult:
        return Tried(len(trial.checks) if "right" in trial.programs[0] else 0, len(trial.checks))


class Refusing:
    async def try_out(self, trial: Trial) -> TrialResult:
        return NotTried("no walls")


def recorded() -> list[Question]:
    """Nine functions of which each member gets every third, and no other member does."""
    questions = []
    for number in range(9):
        replies = {
            model: Reply(model, f"def f(n):\n    return {'right' if number % 3 == place else 'wrong'}  # {model}", None)
            for place, model in enumerate(MODELS)
        }
        labelled = {name: Reply(name, one.text, "right" in one.text) for name, one in replies.items()}
        questions.append(Question(f"q{number}", "code", f"Write f.\nf({number}) == 1", "", labelled))
    return questions


async def test_the_code_that_passes_is_given_whoever_wrote_it() -> None:
    questions = recorded()
    proofs = await prove(trials_of(questions), Reading())

    compared = compare(
        questions, ("p", [Member(name, name) for name in MODELS]), plans_for_code(), Marker(), proofs=proofs
    )

    assert compared.row(BEST_SINGLE).accuracy == pytest.approx(1 / 3)
    assert compared.row(PROVED).accuracy == compared.row(ORACLE).accuracy == 1.0
    assert (compared.row(PROVED).calls, compared.row(PROVED_IN_TURN).calls) == (3, 2)
    assert gain(compared, PROVED, BEST_SINGLE).mean == pytest.approx(2.0)


async def test_where_no_code_can_be_run_it_is_not_compared() -> None:
    with pytest.raises(ConfigError, match="Code cannot be run here: no walls"):
        await prove(trials_of(recorded()), Refusing())


def test_the_files_own_tests_come_before_those_of_the_prompt() -> None:
    shown, own = recorded()[0], recorded()[1]
    own = Question(own.name, "code", own.prompt, "", own.replies, visible_tests=("assert f(7)",))

    assert {trial.checks for trial in trials_of([shown, own])} == {("assert f(0) == 1",), ("assert f(7)",)}


def test_the_middle_has_nobody_of_the_best_or_weakest_quarter() -> None:
    known = {f"m{rank}": 1.0 - rank / 10 for rank in range(1, 9)}

    names = of_middle_strength(suite(known), known)

    assert names == ["3 neighbours from rank 3"]


def test_a_gain_is_relative_to_the_others_mean() -> None:
    found = paired_gain([1, 1, 1, 0], [1, 1, 0, 0], random.Random(0))

    assert found.mean == 0.5
    assert found.low <= 0.5 <= found.high
    assert paired_gain([1.0], [0.0], random.Random(0)).mean == 0.0


def test_the_tables_show_the_gain(tmp_path: Path) -> None:
    file, out = tmp_path / "code.jsonl", StringIO()
    with file.open("wb") as lines:
        for question in recorded():
            told: dict[str, object] = {"id": question.name, "task_type": "code", "prompt": question.prompt, "gold": ""}
            for reply in question.replies.values():
                row = {**told, "model": reply.model, "response": reply.text, "correct": reply.is_labelled_right}
                lines.write(orjson.dumps(row) + b"\n")

    evaluate(file, MODELS, Console(file=out, width=200), verifier=Reading())

    shown = next(line for line in out.getvalue().splitlines() if PROVED in line and "in turn" not in line)
    assert "100.0%" in shown
    assert "+200%" in shown
