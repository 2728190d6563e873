import pytest

from actors.ensembling.normalising import canonical_json, normalised


@pytest.mark.parametrize(
    ("answer", "canonical"),
    [
        ("42", "42"),
        ("42.0", "42"),
        ("1,234.50", "1234.5"),
        ("$1,234.50", "1234.5"),
        ("-$3", "-3"),
        ("−7", "-7"),
        ("12 000", "12000"),
        ("50%", "50"),
        ("42 apples", "42"),
        ("5 km/h", "5"),
        ("about 12 years.", "12"),
        ("3/4", "0.75"),
        (r"\frac{1}{2}", "0.5"),
        (r"-\dfrac{1}{3}", "-1/3"),
        ("2/6", "1/3"),
        ("1 1/2", "1.5"),
        ("½", "0.5"),
        ("2½ cups", "2.5"),
        (".5", "0.5"),
        ("1.5e3", "1500"),
        ("3 x 10^8", "300000000"),
        ("2.5 million", "2500000"),
        ("x = 5", "5"),
        ("6 * 7 = 42", "42"),
        ("0.5 (50%)", "0.5"),
        ("(0.2)", "0.2"),
        ("seven", "7"),
        ("**42**", "42"),
        ("$42$", "42"),
        (r"12{,}000", "12000"),
        (r"\text{12 cm}", "12"),
    ],
)
def test_numbers_are_compared_without_what_stands_around_them(answer: str, canonical: str) -> None:
    assert normalised(answer) == canonical


@pytest.mark.parametrize(
    "option", ["B", "(B)", "B.", "B)", "B) 42 apples", "(B) 42", "**B**", "Option B", "[B]", "(b)"]
)
def test_an_option_is_its_letter(option: str) -> None:
    assert normalised(option) == "B"


@pytest.mark.parametrize(
    ("answer", "canonical"),
    [("Yes.", "yes"), ("No, it is not", "no"), ("True", "true"), ("**FALSE**", "false"), ("no-one", "no-one")],
)
def test_truth_values_are_lower_case_words(answer: str, canonical: str) -> None:
    assert normalised(answer) == canonical


@pytest.mark.parametrize(
    ("answer", "canonical"),
    [
        ("[1, 2.0]", "[1,2]"),
        ("['a', None]", '["a",null]'),
        ("(1, 2)", "[1,2]"),
        ("{'b': True, 'a': 1}", '{"a":1,"b":true}'),
    ],
)
def test_python_literals_are_compared_as_json(answer: str, canonical: str) -> None:
    assert normalised(answer) == canonical


@pytest.mark.parametrize(
    ("answer", "canonical"),
    [("  Paris. ", "paris"), ('"New  York"', "new york"), ("3:30", "3:30"), ("5 pm", "5 pm"), ("1/0", "1/0")],
)
def test_other_short_answers_are_compared_as_plain_words(answer: str, canonical: str) -> None:
    assert normalised(answer) == canonical


@pytest.mark.parametrize("answer", ["", "  ", "**", "...", "word " * 20, "long" * 30])
def test_nothing_and_prose_are_no_short_answers(answer: str) -> None:
    assert normalised(answer) is None


def test_two_answers_in_one_equation_are_not_one_number() -> None:
    assert normalised("x = 1, y = 2") == "x = 1, y = 2"


def test_json_objects_are_equal_whatever_the_order_of_keys_and_the_spelling_of_numbers() -> None:
    assert canonical_json('{"b": 5.0, "a": [1]}') == canonical_json('{ "a":[1.0],"b":5}')


def test_text_that_is_not_json_has_no_canonical_json() -> None:
    assert canonical_json('{"a": ') is None
    assert canonical_json("[" * 100_000) is None
