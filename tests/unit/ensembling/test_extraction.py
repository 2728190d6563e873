import time

import pytest

from actors.ensembling.extraction import RULES, final_answer


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ('{"reasoning": "6 * 7", "answer": "42"}', "42"),
        ('{"reasoning": "6 * 7", "answer": 42.0}', "42"),
        ('```json\n{"answer": "$1,000"}\n```\nI hope that helps.', "1000"),
        ('{"answer": "7", "final_answer": "8"}', "8"),
        ('{"final_answer": "8", "answer": "7"}', "8"),
        ('{"reasoning": "he said "no" twice", "answer": "B"', "B"),
        ('{"reasoning": "line\nbreak", "answer": 1,234\n', "1234"),
        ("{'answer': 'Paris'}", "paris"),
        ('{"answer": "The flock needs 5 pounds of insects per day."}', "5"),
        ('{"answer": ["b", 1]}', '["b",1]'),
        ('{"answer": true}', "true"),
        ('{"answer": "answer": "224"}', "224"),
        ('{"answer": "\\u20ac50"}', "50"),
        (r'{"answer": "\\frac{1}{2}"}', "0.5"),
        (r'{"answer": "\frac{1}{2}"}', "0.5"),
    ],
)
def test_an_answer_field_is_found_in_whole_and_broken_json(reply: str, answer: str) -> None:
    assert final_answer(reply) == answer


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (r"So we get $\boxed{42}$.", "42"),
        (r"Thus \boxed{\frac{3}{4}} of it.", "0.75"),
        (r"First \boxed{1}, then \boxed{2}", "2"),
        (r"\boxed{\text{Paris}}", "paris"),
        (r"\boxed{7.89} matches option J. The answer is (J).", "J"),
        (r"The answer is $\boxed{(C)}$.", "C"),
        (r"Therefore we find $\boxed 5$ as the sum.", "5"),
        (r"The text was cut off in the box: \boxed{12 + {3", None),
    ],
)
def test_a_box_holds_the_answer_unless_one_is_claimed_after_it(reply: str, answer: str | None) -> None:
    assert final_answer(reply) == answer


def test_four_hashes_at_the_end_are_an_answer_and_before_text_a_heading() -> None:
    assert final_answer("6 * 7 = 42\n#### 42") == "42"
    assert final_answer("#### Step 1\nWe think about it for long and find that it is hard to say in general.") is None


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("We see that it moves. The answer is (C).", "C"),
        ("The answer is C because of gravity.", "C"),
        ("The correct option is **D**, as shown above.", "D"),
        ("Long thoughts first.\n\n**Final Answer:** 42 apples", "42"),
        ("Long thoughts first.\n\n## Final answer\n\n42", "42"),
        ("The answer to the question is Paris, the capital of France.", "paris"),
        ("Is the answer 5? No. The answer is therefore 6.", "6"),
        ("The answer is: **$1,234.50**", "1234.5"),
        ("The answer is (B, C) if more than one of them may be chosen.", "(b, c)"),
        ("The answer is (A", "A"),
        ("The answer is a dog. It barks and that says it all, I would think.", "a dog"),
        ("The final answer is 3.5 hours; that is long for a walk in the rain.", "3.5"),
        ("The answer is not 5, whatever they say about it in the books.\nAnswer: 6", "6"),
        ("Answer: yes, because the sum of the two is even in any case.", "yes"),
    ],
)
def test_the_last_claim_of_an_answer_is_taken(reply: str, answer: str) -> None:
    assert final_answer(reply) == answer


@pytest.mark.parametrize(
    "reply",
    [
        "B. The mitochondria\n\nThey make the energy that a cell needs for all its work.",
        "They make the energy that a cell needs for all its work.\n\n(B)",
        "B. The mitochondria\n\nThey make the energy that a cell needs.\n\nB. The mitochondria",
        "They make the energy that a cell needs for all its work, so it is **B**",
        "They make the energy that a cell needs for all its work, therefore (B).",
    ],
)
def test_a_marked_option_counts_without_the_word_answer(reply: str) -> None:
    assert final_answer(reply) == "B"


def test_a_repeated_list_of_options_is_no_answer() -> None:
    assert final_answer("A. one of them is here\nB. another of them there\nC. and a third is somewhere else") is None


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Paris", "paris"),
        ("**Paris.**", "paris"),
        ("The capital of France is Paris.", "paris"),
        ("It costs $42.", "42"),
        ("17 + 25 = 42", "42"),
        ("Yes", "yes"),
        ("<think>Is it 5? 2 + 2 = 4.</think>4", "4"),
    ],
)
def test_a_short_reply_is_taken_whole(reply: str, answer: str) -> None:
    assert final_answer(reply) == answer


def test_the_last_number_counts_where_the_reply_calculates() -> None:
    assert final_answer("She buys 3 packs of 4, which makes 3 * 4 = 12.\n\nSo she has 12 apples in all.") == "12"


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "   \n ",
        "In 1912 the ship sank on its way to New York, and 706 of those on board were saved by others.",
        "We add 3 + 4 = 7 and then, as the shop sells half of them, we go on with 7 / 2 which",
        "```python\nx = 3 + 4\n```\nThis prints the sum of both numbers on the screen, that is 7.",
        '{"answer": ["cut off", ',
        '{"reasoning": "I do not know what to make of it and stop here", "answer": null}',
        "I am sorry, but I cannot say much about that without knowing more of what you have in mind.",
    ],
)
def test_nothing_is_made_up_where_no_answer_is_stated(reply: str) -> None:
    assert final_answer(reply) is None


def test_the_rules_can_be_chosen() -> None:
    assert final_answer('{"answer": 1} #### 2', {"hashes": RULES["hashes"]}) == "2"


@pytest.mark.parametrize(
    "pattern",
    [
        '"answer":',
        '"answer" ',
        "answer is ",
        "\\boxed{",
        "1,",
        "1 000 ",
        "#### ",
        "**",
        "(",
        "= 1 ",
        "\n",
        "answer\n",
        "- ",
    ],
)
def test_a_hostile_text_of_200_kilobytes_is_read_in_linear_time(pattern: str) -> None:
    text = pattern * (200_000 // len(pattern))

    started_s = time.process_time()
    final_answer(text)

    assert time.process_time() - started_s < 2.0  # quadratic work would take minutes
