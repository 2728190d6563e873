import gzip
import random
from io import StringIO
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from actors.evaluating.comparison import BEST_SINGLE, LEARNED, ORACLE, STAGED, compare, difference, plans, pooled
from actors.evaluating.panels import accuracies, chosen, suite, with_duplicates
from actors.evaluating.recorded import Marker, Question, Reply, load, models_of
from actors.evaluating.replay import Member, Plan, play
from actors.evaluating.screen import evaluate
from actors.protocol.errors import ConfigError

STRENGTHS = {"strong": 0.95, "b": 0.4, "c": 0.4}


def recorded(n: int = 200) -> list[Question]:
    """Sums of which `strong` gets 95 %; the others make the same mistake as each other in 6 of 10."""
    rng = random.Random(3)
    questions = []
    for number in range(n):
        weak = number if rng.random() < STRENGTHS["b"] else number + 1
        said = {"strong": number if rng.random() < STRENGTHS["strong"] else number + 2, "b": weak, "c": weak}
        replies = {model: Reply(model, f"The answer is {value}.", None) for model, value in said.items()}
        questions.append(Question(f"q{number}", "math", f"What is {number} + 0?", str(number), replies))
    return questions


MEMBERS = [Member(name, name) for name in STRENGTHS]


def test_a_replay_goes_through_the_panel_and_marks_its_answer() -> None:
    replies = {
        name: Reply(name, f"It is {value}. The answer is {value}.", None)
        for name, value in (("a", 7), ("b", 7), ("c", 4))
    }
    question = Question("q", "math", "What is 3 + 4?", "7", replies)

    played, report = play(question, [Member(name, name) for name in "abc"], Plan("vote", "majority_vote"), Marker())

    assert (played.right, played.calls, played.winner) == (True, 3, "a")
    assert [(vote.backend, vote.answer) for vote in report.votes] == [("a", "7"), ("b", "7")]


def test_two_that_agree_spare_the_third_when_members_are_asked_by_stages() -> None:
    question = recorded(1)[0]

    agreed, _ = play(question, [MEMBERS[1], MEMBERS[2], MEMBERS[0]], Plan("staged", stage=2), Marker())

    assert agreed.calls == 2


def test_learning_keeps_a_vote_from_losing_to_its_best_member() -> None:
    compared = compare(recorded(), ("p", MEMBERS), plans(["majority_vote"]), Marker())

    assert compared.row("majority_vote").accuracy < 0.6
    assert compared.row(LEARNED).accuracy == compared.row(BEST_SINGLE).accuracy > 0.9
    assert compared.row(STAGED).accuracy == compared.row(BEST_SINGLE).accuracy
    assert compared.row(ORACLE).accuracy >= compared.row(BEST_SINGLE).accuracy


def test_what_is_scored_was_not_learned_from() -> None:
    questions = recorded(40)

    compared = compare(questions, ("p", MEMBERS), plans([]), Marker())

    assert {len(row.right) for row in compared.rows} == {20}


def test_panels_are_pooled_question_by_question() -> None:
    one = compare(recorded(40), ("p", MEMBERS), plans([]), Marker())

    both = pooled([one, one])

    assert both.row(LEARNED).right == one.row(LEARNED).right
    assert difference(both, LEARNED, LEARNED) == (0.0, 0.0, 0.0)


def test_the_suite_has_neighbours_and_one_far_ahead() -> None:
    known = {f"m{n}": 1 - n / 10 for n in range(8)}

    panels = {name: [member.model for member in members] for name, members in suite(known)}

    assert panels["3 neighbours from rank 3"] == ["m2", "m3", "m4"]
    assert panels["rank 1 far ahead"] == ["m0", "m4", "m5", "m6", "m7"]
    assert panels["rank 2 far ahead"] == ["m1", "m3", "m4", "m5", "m6"]


def test_copies_of_a_member_have_names_of_their_own() -> None:
    _, members = with_duplicates(chosen(["b", "c"], STRENGTHS), 3)

    assert [(member.name, member.model) for member in members] == [("b", "b"), ("c", "c"), ("c#2", "c"), ("c#3", "c")]


def test_a_file_is_read_marked_and_compared(tmp_path: Path) -> None:
    path, out = tmp_path / "sums.jsonl.gz", tmp_path / "found.json"
    rows = [
        {"id": q.name, "task_type": "math", "prompt": q.prompt, "gold": q.gold, "model": r.model, "response": r.text}
        for q in recorded(30)
        for r in q.replies.values()
    ]
    path.write_bytes(gzip.compress(b"\n".join(map(orjson.dumps, rows))))
    told = StringIO()

    evaluate(path, ["strong", "b"], Console(file=told, width=200), json_file=out, png_file=tmp_path / "plot.png")

    assert "weighted consensus, learned" in told.getvalue()
    assert orjson.loads(out.read_bytes())["summary"]["questions"] == 15
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    questions = load(path)
    assert models_of(questions) == ["strong", "b", "c"]
    assert next(iter(accuracies(questions, ["b", "strong"], Marker()))) == "strong"


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"question": 1}\n')

    with pytest.raises(ConfigError, match="id, prompt and gold"):
        load(tmp_path / "x.jsonl")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.jsonl")
