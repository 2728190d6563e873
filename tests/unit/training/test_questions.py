from pathlib import Path

import numpy as np

from actors.protocol.tasks import TASK_TYPES
from training.task_types.fitting import fitted, softmax, table_of, temperature
from training.task_types.judging import held_out
from training.task_types.questions import LANGUAGES, Example, examples, sections


def test_there_are_examples_of_every_type_in_every_language_and_no_slot_is_left_open() -> None:
    found = list(examples(fills=1, seed=3))

    assert {example.task_type for example in found} == set(TASK_TYPES)
    known = set(TASK_TYPES) - {"unknown"}
    for language in LANGUAGES:
        assert {example.task_type for example in found if example.language == language} == known
    slots = ("{text}", "{topic}", "{thing}", "{lang}", "{foreign}", "{fact}")
    assert not [example for example in found if any(slot in example.text for slot in slots)]


def test_the_same_seed_gives_the_same_examples() -> None:
    assert list(examples(1, 5)) == list(examples(1, 5)) != list(examples(1, 6))


def test_no_prompt_that_is_held_out_is_trained_on() -> None:
    trained_on = {example.text.lower() for example in examples(3, 1)}

    assert not [prompt.text for prompt in held_out() if prompt.text.lower() in trained_on and len(prompt.text) > 12]


def test_a_file_of_phrases_is_read_by_section(tmp_path: Path) -> None:
    path = tmp_path / "phrases.txt"
    path.write_text("# a word first\n\n[math]\nWhat is {a}?\nTwo\\nlines\n[]\n[@thing]\ncat\n")

    assert sections(path) == {"math": ["What is {a}?", "Two\nlines", "[]"], "@thing": ["cat"]}


def test_what_tells_two_types_apart_is_learned() -> None:
    words = {"code": "compile the function", "math": "add the numbers"}
    table = table_of([Example(f"{word} {k}", kind, "en", word) for kind, word in words.items() for k in range(40)])
    weights, bias = fitted(table)

    assert ((table.rows @ weights + bias).argmax(1) == table.types).all()


def test_scores_that_are_too_bold_are_divided_by_more() -> None:
    types = np.array([0] * 6 + [1] * 4)
    scores = np.tile(np.array([4.0, 0.0], np.float32), (10, 1))  # says 98 % where 60 % are right

    divided = softmax(scores / temperature(scores, types))
    assert temperature(scores, types) > 2.5
    assert divided[0, 0] < 0.85
