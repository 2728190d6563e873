import pytest

from actors.protocol.tasks import TASK_TYPES
from actors.rewriting.patterns import BUILT_IN, QUESTION, Example, Pattern


def test_the_question_stands_in_the_template_word_for_word() -> None:
    pattern = Pattern("p", "Before {x} {question} after")

    assert pattern.put("a {question} of {examples}") == "Before {x} a {question} of {examples} after"


def test_examples_stand_where_the_template_wants_them() -> None:
    pattern = Pattern("p", "{examples}\n\n{question}")

    put = pattern.put("3+3?", [Example("1+1?", "2"), Example("2+2?", "4")])

    assert put == "Question: 1+1?\nAnswer: 2\n\nQuestion: 2+2?\nAnswer: 4\n\n3+3?"


def test_conditions_are_the_type_of_task_the_length_and_the_room_for_an_answer() -> None:
    pattern = Pattern("p", QUESTION, ("math",), min_chars=10, max_chars=20, min_tokens=100)

    assert pattern.is_meant_for("math", 10, None)
    assert pattern.is_meant_for("math", 20, 100)
    assert not pattern.is_meant_for("code", 10, None)
    assert not pattern.is_meant_for("math", 9, None)
    assert not pattern.is_meant_for("math", 21, None)
    assert not pattern.is_meant_for("math", 10, 99)


def test_a_pattern_in_one_language_is_not_for_questions_in_another() -> None:
    pattern = Pattern("p", QUESTION, languages=("en",))

    assert pattern.is_meant_for("math", 10, None, "en")
    assert pattern.is_meant_for("math", 10, None, None)
    assert not pattern.is_meant_for("math", 10, None, "de")
    assert Pattern("p", QUESTION).is_meant_for("math", 10, None, "de")


@pytest.mark.parametrize("pattern", BUILT_IN.values(), ids=list(BUILT_IN))
def test_what_is_built_in_holds_the_question_once_and_knows_its_types(pattern: Pattern) -> None:
    assert pattern.put("<Q>", [Example("q", "a")]).count("<Q>") == 1
    assert set(pattern.task_types) <= set(TASK_TYPES)
    assert "{" not in pattern.put("<Q>", [Example("q", "a")])
