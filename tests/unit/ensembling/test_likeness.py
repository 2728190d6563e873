import math

import numpy as np
import pytest

from actors.ensembling.agreement import SAME_TEXT_01
from actors.ensembling.likeness import Embed, Likeness, static_embeddings

ANGLES = {"a": 0.0, "b": math.pi / 3, "c": math.pi}


def by_angle(text: str) -> np.ndarray:
    return np.array([math.cos(ANGLES[text]), math.sin(ANGLES[text])])


def nothing() -> Embed:
    raise ImportError


def test_texts_are_as_alike_as_their_vectors_and_never_less_than_not_at_all() -> None:
    alike = Likeness(lambda: by_angle)
    alike.load()

    assert alike("a", "b") == pytest.approx(0.5)
    assert alike("a", "a") == pytest.approx(1.0)
    assert alike("a", "c") == 0.0


def test_without_embeddings_words_are_compared() -> None:
    alike = Likeness(nothing)
    alike.load()

    assert alike("It is Paris.", "it is rome") == 0.5


PARAPHRASES = [
    ("It's Paris.", "The capital of France is Paris."),
    ("You should restart the router and then check the cables.", "Check the cables, and reboot your router first."),
    ("The meeting is on Monday at ten.", "We meet Monday at 10 am."),
    ("The war was over in 1945 when Japan had surrendered.", "It ended in 1945 with the surrender of Japan."),
    ("Die Hauptstadt von Frankreich ist Paris.", "Paris ist Frankreichs Hauptstadt."),
]
OTHERS = [
    ("You should restart the router and then check the cables.", "Call your provider, the line is probably down."),
    ("Use a hash map to count the words, then sort by count.", "Use a binary tree and traverse it in order."),
    ("I would not recommend it.", "I recommend it warmly."),
]


@pytest.mark.parametrize(("texts", "are_same"), [*((t, True) for t in PARAPHRASES), *((t, False) for t in OTHERS)])
def test_real_embeddings_tell_paraphrases_from_other_answers(texts: tuple[str, str], are_same: bool) -> None:
    alike = Likeness(static_embeddings)
    alike.load()

    assert (alike(*texts) >= SAME_TEXT_01) == are_same
