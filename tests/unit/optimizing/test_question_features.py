import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.optimizing.question_features import PLAIN, SHAPE_WEIGHT, SIZE, WORDS, question_features, task_shares


@given(st.text(max_size=2000))
def test_every_text_has_finite_features_of_one_size(text: str) -> None:
    features = question_features(text)

    assert features.shape == (SIZE,)
    assert np.isfinite(features).all()


def test_half_of_a_pair_of_surrogates_is_no_error() -> None:
    assert question_features("\ud800").shape == (SIZE,)


def test_blocks_have_their_lengths() -> None:
    features = question_features("How many legs has a spider?")

    assert np.linalg.norm(features[PLAIN : PLAIN + WORDS]) == pytest.approx(1.0)
    assert np.linalg.norm(features[PLAIN + WORDS :]) == pytest.approx(SHAPE_WEIGHT)


def test_capitals_change_the_shape_but_not_the_words() -> None:
    lower, upper = question_features("what is this"), question_features("WHAT IS this")

    assert np.array_equal(lower[PLAIN : PLAIN + WORDS], upper[PLAIN : PLAIN + WORDS])
    assert not np.allclose(lower[PLAIN + WORDS :], upper[PLAIN + WORDS :])


def test_the_middle_of_a_long_text_does_not_count() -> None:
    one, other = (question_features("a" * 600 + middle * 500 + "z" * 300) for middle in "xy")

    assert np.array_equal(one, other)


def test_the_guess_at_the_task_is_part_of_it_in_whole_and_zero_where_nothing_was_guessed() -> None:
    guessed = question_features("2 + 2", (100, 700, 0, 0, 0, 0, 0, 150, 50))

    assert list(task_shares(guessed)) == pytest.approx([0.1, 0.7, 0.0, 0.0, 0.0, 0.0, 0.0, 0.15])
    assert not task_shares(question_features("2 + 2")).any()
