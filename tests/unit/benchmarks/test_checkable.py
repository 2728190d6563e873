from collections import Counter

import pytest

from benchmarks.checkable import Checkable, more_questions, questions


def test_a_seed_makes_the_same_hundred_questions() -> None:
    made = questions(3)

    assert made == questions(3)
    assert made != questions(4)
    assert Counter(one.kind for one in made) == {"sum": 40, "fact": 30, "reading": 30}
    assert len({one.name for one in made}) == 100


def test_there_are_more_to_learn_from_and_none_of_them_twice() -> None:
    more = more_questions(1)

    assert len(more) == 70
    assert not {one.name for one in more} & {one.name for one in questions()}
    assert len({one.text for one in more} & {one.text for one in questions()}) <= 2


@pytest.mark.parametrize(
    ("kind", "gold", "reply", "right"),
    [
        ("sum", "55", "12 * 4 = 48, and 48 + 7 = 55.", True),
        ("sum", "1055", "The answer is 1,055", True),
        ("sum", "55", "55 + 1 = 56", False),
        ("sum", "55", "", False),
        ("fact", "Oslo", "It is oslo, in Norway.", True),
        ("fact", "Au", "Austria", False),
        ("reading", "123", "Let me see.\nAnswer: 123", True),
        ("reading", "123", "The order 123 is there.\nAnswer: 456", False),
        ("reading", "123", "123 " + "x" * 100, False),
    ],
)
def test_a_reply_is_right_by_what_it_comes_to(kind: str, gold: str, reply: str, right: bool) -> None:
    assert Checkable("q", kind, "?", gold).is_right(reply) is right
