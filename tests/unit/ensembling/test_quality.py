import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.ensembling.quality import FACTORS, Said, quality_of
from actors.protocol.messages import JsonObject

CITY: JsonObject = {
    "type": "json_schema",
    "json_schema": {
        "name": "city",
        "schema": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string"},
                "size": {"type": "integer"},
                "climate": {"enum": ["wet", "dry"]},
                "rivers": {"type": "array", "items": {"type": "string"}},
            },
        },
    },
}


def said(text: str, question: str = "How much is 6 times 7?", finish_reason: str = "stop", **more: bool) -> Said:
    return Said("b", {"messages": [{"role": "user", "content": question}]}, text, finish_reason, **more)


def test_a_whole_answer_has_no_flaw() -> None:
    found = quality_of(said("It is 42."))

    assert (found.backend, found.score_01, found.flaws, found.chars) == ("b", 1.0, (), 9)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "As an AI language model, I have no opinion.",
        "Es tut mir leid, aber das kann ich nicht beantworten.",
        "Je suis désolé, mais je ne peux pas répondre.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "很抱歉,我无法回答这个问题。",
    ],
)
def test_a_refusal_is_known_by_its_first_words(text: str) -> None:
    assert quality_of(said(text)).flaws == ("refused",)


@pytest.mark.parametrize("text", ["I'm sorry to hear that. The answer is 42.", "You cannot divide by zero."])
def test_not_every_regret_is_a_refusal(text: str) -> None:
    assert quality_of(said(text)).flaws == ()


def test_each_flaw_lowers_the_score() -> None:
    assert quality_of(said("")).score_01 == 0.0
    assert quality_of(said("It is", finish_reason="length")).score_01 == FACTORS["truncated"]
    assert quality_of(said("so on and on " * 60)).flaws == ("looping",)


def test_a_text_that_goes_in_circles_without_end_is_told_from_a_list() -> None:
    circles = " ".join(f"we see that the sum of it is {number % 2} here" for number in range(40))
    table = " ".join(f"row {number} has the value {number * number}" for number in range(40))

    assert quality_of(said(circles)).flaws == ("looping",)
    assert quality_of(said(table)).flaws == ()


def test_a_call_of_tools_is_not_empty() -> None:
    assert quality_of(said("", calls_tools=True)).flaws == ()


def test_an_answer_in_another_language_than_the_question_shows() -> None:
    question = "What is the name of the river that is in the north?"
    answer = "Der Fluss ist die Elbe und nicht der Main."

    assert quality_of(said(answer, question)).flaws == ("other_language",)
    assert quality_of(said("Elbe", question)).flaws == ()


def test_half_of_the_score_goes_with_the_votes_of_the_others() -> None:
    lonely = said("It is 41.")
    lonely.agreement_01 = 0.25

    assert quality_of(lonely).score_01 == 0.625  # 0.5 + 0.5 * 0.25


def test_json_that_breaks_its_schema_is_found() -> None:
    off, fitting = said('{"size": 3}'), said('{"name": "Hamburg"}')
    off.body["response_format"] = fitting.body["response_format"] = CITY

    assert quality_of(off).flaws == ("off_schema",)
    assert quality_of(fitting).flaws == ()


@given(st.text(max_size=400), st.sampled_from(["stop", "length", "content_filter", "tool_calls"]))
def test_the_score_of_whatever_text_is_a_share(text: str, finish_reason: str) -> None:
    assert 0.0 <= quality_of(said(text, finish_reason=finish_reason)).score_01 <= 1.0
