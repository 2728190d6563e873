import random
from collections import Counter
from typing import Any

import pytest

from actors.ensembling.language import language_of
from actors.protocol.messages import Feedback
from actors.protocol.patterns import Gain, Gains, RewriteMode
from actors.rewriting.patterns import QUESTION, Example, Pattern
from actors.rewriting.rewriter import Phrasing, Rewriter

THINK = Pattern("think", "{question} Think.", ("math",))
SHOW = Pattern("show", "{examples}\n{question}")
BODY = {"messages": [{"role": "user", "content": "6 times 7?"}]}
SURE: Gains = {"a": {"math": {"think": Gain(0.3, 0.1, 0.5, 60)}}}


def phrasing(mode: RewriteMode = "live", gains: Gains = SURE, task: str = "math", **changed: Any) -> Phrasing:
    rewriter = Rewriter({"think": THINK, "show": SHOW}, random.Random(1))
    found = rewriter.phrasing(changed.pop("body", BODY), mode, task, None, gains, **changed)
    assert found is not None
    return found


def ways(mode: RewriteMode, backend: str, gains: Gains = SURE, task: str = "math") -> Counter[str]:
    rewriter = Rewriter({"think": THINK}, random.Random(1))
    found = Counter[str]()
    for _ in range(1000):
        one = rewriter.phrasing(BODY, mode, task, None, gains)
        assert one is not None
        one.body_for(backend, BODY)
        found[one.pattern_of(backend)] += 1
    return found


def test_what_is_known_to_gain_is_used_for_that_backend_and_that_type_of_task() -> None:
    assert 860 < ways("live", "a")["think"] < 940  # 0.9
    assert 5 < ways("live", "b")["think"] < 40  # 0.02
    assert ways("live", "a", task="code") == {"plain": 1000}


def test_in_the_shadow_the_caller_is_answered_plainly() -> None:
    assert ways("shadow", "a") == {"plain": 1000}


def test_a_backend_is_asked_in_the_same_way_again() -> None:
    one = phrasing()

    bodies = [one.body_for("a", BODY) for _ in range(20)]

    assert all(body == bodies[0] for body in bodies)


def test_the_pattern_that_the_caller_wants_is_used_surely() -> None:
    one = phrasing("never", {}, "code", forced="think")

    assert one.body_for("a", BODY)["messages"][-1]["content"] == "6 times 7? Think."
    assert (one.pattern_of("a"), one.probability_01("a")) == ("think", 1.0)


def test_examples_are_shown_only_where_there_are_some() -> None:
    assert phrasing("never", forced="show").pattern_of("a") == "plain"
    assert phrasing().patterns == ["think"]
    given = Rewriter({"show": Pattern("show", SHOW.template, examples=[Example("1+1?", "2")])}, random.Random(1))
    one = given.phrasing(BODY, "live", "math", None, {}, "show")
    assert one is not None
    assert one.body_for("a", BODY)["messages"][-1]["content"] == "Question: 1+1?\nAnswer: 2\n6 times 7?"


def test_good_answers_become_examples() -> None:
    rewriter = Rewriter({"show": SHOW}, random.Random(1))
    rewriter.shelf.note("r", None, "math", "5 times 7?", "35")
    rewriter.shelf.judge(Feedback("r", correct=True))

    one = rewriter.phrasing(BODY, "live", "math", None, {})

    assert one is not None
    assert one.patterns == ["show"]


def test_the_probability_of_each_way_is_known() -> None:
    one = phrasing()
    one.body_for("a", BODY)

    assert one.probability_01("a") in (0.9, 0.1)
    assert one.probability_01("never asked") == 1.0


def test_beside_any_other_way_is_asked_that_is_not_known_to_be_worse() -> None:
    asked = phrasing("shadow").beside("b")

    assert asked is not None
    assert asked.text == "6 times 7? Think."
    assert phrasing("shadow", {"a": {"math": {"think": Gain(-0.3, -0.5, -0.1, 60)}}}).beside("a") is None


def test_a_request_for_tools_has_no_other_way() -> None:
    rewriter = Rewriter({"think": THINK}, random.Random(1))

    assert rewriter.phrasing({**BODY, "tools": [{"type": "function"}]}, "live", "math", None, {}) is None


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("What is the sum of 17 and 23, and what is that times two?", ["english", "any"]),
        ("17 * 23", ["english", "any"]),
        ("Was ist die Summe von 17 und 23, und wie viel ist das mal zwei?", ["any"]),
        ("\u00bfCu\u00e1nto es 17 * 23?", ["any"]),
        ("17 \u548c 23 \u7684\u548c\u662f\u591a\u5c11\uff1f", ["any"]),
    ],
)
def test_english_words_are_added_to_english_questions(question: str, meant: list[str]) -> None:
    patterns = {"english": Pattern("english", QUESTION, languages=("en",)), "any": Pattern("any", QUESTION)}
    rewriter = Rewriter(patterns, random.Random(1), language_of=language_of)

    one = rewriter.phrasing({"messages": [{"role": "user", "content": question}]}, "live", "math", None, {})

    assert one is not None
    assert one.patterns == meant


def test_where_nothing_is_learned_no_wish_makes_it_rewrite() -> None:
    assert Rewriter({}, random.Random(1), "never", learns=False).mode_of("live", "live") == "never"
    assert Rewriter({}, random.Random(1), "shadow").mode_of(None, None) == "shadow"
    assert Rewriter({}, random.Random(1), "shadow").mode_of(None, "never") == "never"
    assert Rewriter({}, random.Random(1), "shadow").mode_of("live", "never") == "live"
