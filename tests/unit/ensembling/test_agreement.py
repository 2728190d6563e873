import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.ensembling.agreement import clusters, token_overlap
from actors.ensembling.ballot import Ballot


def test_token_overlap_is_the_share_of_common_words() -> None:
    assert token_overlap("The cat sat.", "the cat ran") == pytest.approx(2 / 4)
    assert token_overlap("", "") == 1.0
    assert token_overlap("word", "") == 0.0


def test_equal_final_answers_agree_however_different_the_texts_are() -> None:
    ballots = [Ballot(0, "a", "It is 42", "42"), Ballot(1, "b", "Forty-two!", "42"), Ballot(2, "c", "It is 43", "43")]

    assert clusters(ballots, token_overlap) == [[0, 1], [2]]


def test_free_texts_agree_when_they_share_most_words() -> None:
    ballots = [
        Ballot(0, "a", "the sky is blue today"),
        Ballot(1, "b", "whales are mammals"),
        Ballot(2, "c", "Today the sky is blue."),
    ]

    assert clusters(ballots, token_overlap) == [[0, 2], [1]]


def test_a_text_without_final_answer_never_joins_one_with_an_answer() -> None:
    ballots = [Ballot(0, "a", "same words", "42"), Ballot(1, "b", "same words")]

    assert clusters(ballots, token_overlap) == [[0], [1]]


def test_a_text_between_two_groups_unites_them() -> None:
    ballots = [Ballot(0, "a", "1"), Ballot(1, "b", "5"), Ballot(2, "c", "3")]

    near = clusters(ballots, lambda one, other: 1.0 if abs(int(one) - int(other)) <= 2 else 0.0)

    assert near == [[0, 1, 2]]


@given(st.lists(st.sampled_from(["a b c", "a b d", "x y", "x y z", ""]), min_size=1, max_size=6))
def test_every_ballot_is_in_exactly_one_group(texts: list[str]) -> None:
    groups = clusters([Ballot(seat, "m", text) for seat, text in enumerate(texts)], token_overlap)

    assert sorted(place for group in groups for place in group) == list(range(len(texts)))
