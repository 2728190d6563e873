import pytest

from actors.edge.answers_given import AnswersGiven
from actors.protocol.messages import Feedback


@pytest.mark.parametrize(
    ("said", "gold", "right"),
    [
        ("17 + 25 is 42, so the answer is 42.", "42", True),
        ("The answer is 41.", "The answer is 42.", False),
        ("a long and free text about the sea that comes to nothing", "the sea", None),
        ("A free Text ", "a free text", True),
    ],
)
def test_the_right_answer_says_whether_the_given_one_was_right(said: str, gold: str, right: bool | None) -> None:
    given = AnswersGiven()
    given.note("r", said)

    assert given.judged(Feedback("r", gold=gold)).gold_right is right


def test_what_was_not_answered_here_or_names_no_right_answer_stays_as_it_is() -> None:
    given = AnswersGiven()
    given.note("r", "42")

    assert given.judged(Feedback("other", gold="42")).gold_right is None
    assert given.judged(Feedback("r", correct=False)) == Feedback("r", correct=False)


def test_the_oldest_answers_go_first() -> None:
    by_number, by_size = AnswersGiven(kept=2), AnswersGiven(kept_chars=10)
    for name in ("a", "b", "c"):
        by_number.note(name, "42")
        by_size.note(name, "   42")

    for given in (by_number, by_size):
        rights = [given.judged(Feedback(name, gold="42")).gold_right for name in ("a", "b", "c")]
        assert rights == [None, True, True]
