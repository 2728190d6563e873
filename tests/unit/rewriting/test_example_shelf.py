from actors.protocol.messages import Feedback
from actors.rewriting import example_shelf
from actors.rewriting.example_shelf import ExampleShelf
from actors.rewriting.patterns import Example


def shelf_with(*questions: str, key_name: str | None = "ann", **judgement: object) -> ExampleShelf:
    shelf = ExampleShelf()
    for question in questions:
        shelf.note(question, key_name, "math", question, f"answer to {question}")
        shelf.judge(Feedback(question, **(judgement or {"correct": True})))  # type: ignore[arg-type]
    return shelf


def test_an_answer_that_was_judged_good_is_shown_to_its_own_key_alone() -> None:
    shelf = shelf_with("2 + 2?")

    assert shelf.examples("ann", "math", "3 + 3?") == [Example("2 + 2?", "answer to 2 + 2?")]
    assert shelf.examples("bob", "math", "3 + 3?") == []
    assert shelf.examples(None, "math", "3 + 3?") == []
    assert shelf.examples("ann", "code", "3 + 3?") == []


def test_a_question_is_no_example_for_itself() -> None:
    assert shelf_with("2 + 2?").examples("ann", "math", "2 + 2?") == []


def test_of_a_wrong_answer_the_right_one_is_shown_if_it_was_told() -> None:
    assert shelf_with("2 + 2?", correct=False).examples("ann", "math", "q") == []
    assert shelf_with("2 + 2?", correct=False, gold="4").examples("ann", "math", "q") == [Example("2 + 2?", "4")]


def test_a_high_score_is_good_and_a_middling_one_is_not() -> None:
    assert shelf_with("2 + 2?", score_01=0.95).examples("ann", "math", "q") != []
    assert shelf_with("2 + 2?", score_01=0.5).examples("ann", "math", "q") == []


def test_the_likest_three_are_shown_the_likest_last() -> None:
    shelf = shelf_with("sum of two", "speed of light", "sum of three", "weight of air")

    shown = [example.question for example in shelf.examples("ann", "math", "sum of three and four")]

    assert len(shown) == 3
    assert shown[-1] == "sum of three"
    assert "sum of two" in shown


def test_long_texts_are_not_kept() -> None:
    shelf = ExampleShelf()
    shelf.note("r", "ann", "math", "q" * 501, "a")
    shelf.note("r", "ann", "math", "q", "a" * 501)
    shelf.note("r", "ann", "math", "q", "")
    shelf.judge(Feedback("r", correct=True))

    assert shelf.examples("ann", "math", "x") == []


def test_what_is_not_judged_makes_room(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(example_shelf, "UNJUDGED_KEPT", 2)
    shelf = ExampleShelf()
    for name in ("r1", "r2", "r3"):
        shelf.note(name, "ann", "math", name, "answer")

    for name in ("r1", "r3"):
        shelf.judge(Feedback(name, correct=True))

    assert [example.question for example in shelf.examples("ann", "math", "x")] == ["r3"]
