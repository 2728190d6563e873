"""Models of a gateway, asked for real: here a gateway that answers by a script."""

from io import StringIO
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from actors.evaluating.live import Live, as_json, hear, recorded_rows
from actors.evaluating.live_screen import evaluate_live, questions_of
from actors.evaluating.recorded import Marker, Question, load
from actors.evaluating.sums import sums
from actors.protocol.clock import ManualClock
from actors.protocol.errors import BackendUnavailable, ConfigError
from actors.protocol.messages import JsonObject

QUESTIONS = [Question(f"q{number}", "math", f"What is {number} + 0?", str(number), {}) for number in range(4)]
MODELS = ("weak", "strong", "all", "dead")


def ask(model: str, prompt: str) -> JsonObject:
    """`strong` is wrong on 3, `weak` right on 0 alone; `all` says what `strong` does, and how sure it is."""
    if model == "dead":
        raise BackendUnavailable("Nobody is there.")
    number = int(prompt.split()[2])
    right = number == 0 if model == "weak" else number != 3
    reply: JsonObject = {
        "choices": [{"message": {"content": f"The answer is {number if right else -1}."}}],
        "usage": {"total_tokens": 10 if model != "all" else 20},
        "troupe": {"attempts": [{}] if model != "all" else [{}, {}], "cost_usd": 0.5 if model == "strong" else None},
    }
    if model == "all":
        reply["troupe"]["ensemble"] = {"confidence_01": 0.75}
    return reply


def heard() -> Live:
    return hear(QUESTIONS, MODELS, ["weak", "strong", "dead"], ask, Marker(), ManualClock())


def test_each_model_is_marked_beside_the_best_single_one() -> None:
    live = heard()

    told = {row["name"]: row for row in as_json(live)["rows"]}

    assert live.best == "strong"
    assert {name: row["accuracy"] for name, row in told.items()} == {
        "weak": 0.25,
        "strong": 0.75,
        "all": 0.75,
        "dead": 0,
    }
    assert told["all"]["against_best_single"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert (told["all"]["calls"], told["all"]["tokens"], told["strong"]["cost_usd"]) == (2, 20, 0.5)
    assert told["all"]["expected_calibration_error"] == 0.0
    assert (as_json(live)["oracle"], as_json(live)["mean_member"]) == (0.75, pytest.approx(1 / 3))


def test_a_failure_is_a_wrong_answer_and_is_counted() -> None:
    live = heard()

    assert {row["name"]: row["failures"] for row in as_json(live)["rows"]}["dead"] == 4
    assert [one.failure for one in live.heard["dead"]] == ["backend_unavailable"] * 4


def test_what_was_said_can_be_replayed(tmp_path: Path) -> None:
    file = tmp_path / "said.jsonl"
    file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in recorded_rows(heard())))

    replayed = load(file)

    assert [question.gold for question in replayed] == ["0", "1", "2", "3"]
    assert set(replayed[0].replies) == {"weak", "strong", "all"}


def test_sums_are_the_same_for_one_seed_and_right() -> None:
    first = sums(10, seed=3)

    assert [(one.prompt, one.gold) for one in first] == [(one.prompt, one.gold) for one in sums(10, seed=3)]
    assert [one.prompt for one in first] != [one.prompt for one in sums(10, seed=4)]
    for one in first:
        if "+" in one.prompt or "*" in one.prompt:
            assert eval(one.prompt.removeprefix("What is ").partition("?")[0]) == int(one.gold)


@pytest.mark.parametrize("name", ["sums:", "sums:1", "sums:x", "sums:-3", "sums:²"])
def test_a_wrong_number_of_sums_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="must be sums:N"):
        questions_of(name, 0)


def test_questions_without_a_short_gold_answer_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "code.jsonl"
    file.write_text('{"id": "a", "prompt": "Write f.", "gold": "", "task_type": "code"}\n')

    with pytest.raises(ConfigError, match="short gold answer"):
        questions_of(str(file), 0)


def test_the_table_and_the_files_are_written(tmp_path: Path) -> None:
    out = StringIO()
    files = [tmp_path / name for name in ("figures.json", "plot.png", "said.jsonl")]

    evaluate_live(
        "sums:4", ["strong"], ["strong"], lambda *_: ask("strong", "What is 0"), Console(file=out), 0, 2, *files
    )

    assert "strong" in out.getvalue()
    assert orjson.loads(files[0].read_bytes())["questions"] == 4
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert len(files[2].read_bytes().splitlines()) == 4
