from actors.ensembling.extraction import final_answer
from actors.optimizing.comparisons import Comparisons
from actors.protocol.messages import Feedback
from actors.protocol.patterns import Comparison, Trial


def comparison(request_id: str = "r", plain: str | None = "41", expected: str | None = None) -> Comparison:
    return Comparison(request_id, "a", "math", "think", plain, "42", expected)


def comparisons() -> Comparisons:
    return Comparisons(final_answer)


def test_what_the_others_agreed_on_decides_at_once() -> None:
    assert comparisons().compare([comparison(expected="42")], 5.0) == [Trial("a", "math", "think", 1.0, 0.0, 5.0)]


def test_the_right_answer_decides_when_it_is_told() -> None:
    open_ = comparisons()
    assert open_.compare([comparison()], 5.0) == []

    assert open_.judge(Feedback("r", gold="The answer is 41."), 7.0) == [Trial("a", "math", "think", 0.0, 1.0, 7.0)]
    assert open_.judge(Feedback("r", gold="41"), 8.0) == []


def test_it_may_be_told_before_the_comparison_is_made() -> None:
    open_ = comparisons()

    assert open_.judge(Feedback("r", gold="42"), 1.0) == []
    assert open_.compare([comparison()], 2.0) == [Trial("a", "math", "think", 1.0, 0.0, 2.0)]


def test_that_an_answer_was_wrong_says_nothing_sure_of_another() -> None:
    open_ = comparisons()
    open_.compare([comparison()], 5.0)

    assert open_.judge(Feedback("r", correct=False), 6.0) == []
    assert open_.judge(Feedback("other", gold="42"), 6.0) == []
