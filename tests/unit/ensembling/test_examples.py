from typing import Any

import pytest

from actors.ensembling.examples import MAX_CHECKS, checks_in, code_in, question_of, trial_of

STUB = '''from typing import List

def total(numbers: List[int]) -> int:
    """ The sum.
    >>> total([1, 2])
    3
    """
'''


def test_a_doctest_is_compared_by_value() -> None:
    assert checks_in(STUB) == ["assert (total([1, 2])) == (3)"]


def test_what_shows_nothing_prepares_what_follows() -> None:
    text = ">>> numbers = [1,\n...            2]\n>>> total(numbers)\n3"

    assert checks_in(text) == ["numbers = [1,\n           2]\nassert (total(numbers)) == (3)"]


def test_what_is_no_value_is_compared_as_a_console_shows_it() -> None:
    assert checks_in(">>> print(total([1]))\n1") == ["assert shown(lambda: (print(total([1])))) == '1'"]
    assert checks_in(">>> Thing(1)\n<Thing 1>") == ["assert shown(lambda: (Thing(1))) == '<Thing 1>'"]


def test_a_comparison_in_a_console_is_an_example_by_itself() -> None:
    assert checks_in(">>> total([2]) == 2\n\nmore") == ["assert total([2]) == 2"]


def test_assertions_are_taken_as_they_stand_over_several_lines() -> None:
    text = "assert total([1]) == 1, 'one'\nassert total([\n    1, 2,\n]) == 3\nassert that it works"

    assert checks_in(text) == ["assert total([1]) == 1, 'one'", "assert total([\n    1, 2,\n]) == 3"]


@pytest.mark.parametrize(
    ("line", "check"),
    [
        ("search([4, 1]) == -1", "assert search([4, 1]) == -1"),
        ('is_nice("a)b") => true', 'assert is_nice("a)b") == true'),
        ("move([3, 4])==>True", "assert move([3, 4]) == True"),
        ("any_int(3.6, -2.2) ➞ False", "assert any_int(3.6, -2.2) == False"),
        ("compare([1],[2]) -> [1]", "assert compare([1],[2]) == [1]"),
        ("choose(12, 15) = 14", "assert choose(12, 15) == 14"),
        ("encrypt('hi') returns 'lm'.", "assert encrypt('hi') == 'lm'"),
        ("For example, f(2) should return (1, 'a').", "assert f(2) == (1, 'a')"),
        ("f(0)  # returns None", "assert f(0) == None"),
        ("  - `f(1)` is 1", None),
        ("f(1) == 1 + 9 = 10", None),
        ("f(x", None),
        ("f(x)] == 1", None),
        ("print(3) == None", None),
        ("f(1) is large", None),
    ],
)
def test_a_line_that_shows_a_call_and_its_result_is_an_example(line: str, check: str | None) -> None:
    assert checks_in(line) == ([] if check is None else [check])


def test_only_calls_of_what_the_question_defines_count_where_it_defines_something() -> None:
    assert checks_in("def f(n):\n    '''\n    g(1) == 2\n    f(1) == 2\n    '''") == ["assert f(1) == 2"]


def test_there_is_a_limit_to_examples_and_each_counts_once() -> None:
    many = "\n".join(f"f({number}) == {number}" for number in range(2 * MAX_CHECKS))

    assert len(checks_in(many)) == MAX_CHECKS
    assert checks_in("f(1) == 1\nf(1) == 1") == ["assert f(1) == 1"]


@pytest.mark.parametrize(
    "text", ["f" + "(" * 40_000, ">>> " + "[" * 40_000 + "\n1", "assert " + "-" * 20_000 + "1", "f(" * 9_000]
)
def test_nesting_without_end_is_no_example(text: str) -> None:
    assert checks_in(text) == []


def test_the_question_is_all_that_the_user_said() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "f(1) == 2"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "f(1) == 3"},
        {"role": "user", "content": [{"type": "text", "text": "two"}, {"type": "image_url", "image_url": {}}]},
    ]

    assert question_of(messages) == "one\n\ntwo"


def test_the_questions_own_code_begins_with_its_first_line_of_code() -> None:
    assert code_in("Complete this:\n\n" + STUB) == STUB
    assert code_in("Complete this:\n```python\nimport re\n```\nplease") == "import re"
    assert code_in("What is 6 times 7?") == ""


def test_the_code_of_a_reply_is_its_blocks_together_and_then_each() -> None:
    trial = trial_of("First\n```python\nA = 1\n```\nthen\n```\nB = 2\n```\n```json\n{}\n```", "", ["assert A"])

    assert trial is not None
    assert trial.programs == ("A = 1\n\nB = 2", "B = 2", "A = 1", "\nB = 2")
    assert trial.checks == ("assert A",)


def test_a_reply_without_blocks_is_the_program_or_goes_on_where_the_question_ends() -> None:
    trial = trial_of("    return sum(numbers)\n", STUB, ["assert True"])

    assert trial is not None
    assert trial.programs == ("    return sum(numbers)", f"{STUB}\n    return sum(numbers)\n")


def test_thoughts_hold_no_code_that_counts() -> None:
    trial = trial_of("<think>```python\nA = 1\n```</think>```python\nA = 2\n```", "", ["assert A"])

    assert trial is not None
    assert trial.programs[0] == "A = 2"


def test_prose_is_not_tried() -> None:
    assert trial_of("I cannot do that.", STUB, ["assert True"]) is None
