import pytest

from actors.protocol.tasks import UNGUESSED, TaskGuess, probabilities_01, question_in


def test_the_question_is_what_the_user_said_last() -> None:
    messages: list[dict[str, object]] = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": "this?"}]},
        {"role": "tool", "content": "42"},
    ]

    assert question_in(messages) == "What is this?"
    assert question_in(messages[:3]) == "Hello!"


@pytest.mark.parametrize("content", [None, 7, [], [{"type": "image_url"}], ["text"]])
def test_content_without_text_is_no_question(content: object) -> None:
    assert question_in([{"role": "user", "content": content}]) == ""


def test_without_a_user_there_is_no_question() -> None:
    assert question_in([]) == question_in([{"role": "system", "content": "Be kind."}]) == ""


def test_probabilities_are_told_with_the_likeliest_first() -> None:
    guess = TaskGuess("math", (200, 700, 100, 0, 0, 0, 0, 0, 0))

    assert list(probabilities_01(guess.permille).items()) == [("math", 0.7), ("code", 0.2), ("factual_question", 0.1)]
    assert probabilities_01(UNGUESSED.permille) == {}
