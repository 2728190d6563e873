from typing import Any

import pytest

from actors.ensembling.ballot import Ballot
from actors.ensembling.flaws import script_of
from actors.ensembling.panel import Done, Panel, PanelRules, Wait
from actors.ensembling.screening import Screening
from actors.protocol.trust import Trust
from tests.unit.ensembling.test_panel import an_answer

BODY = {"messages": [{"role": "user", "content": "What is the capital of Italy, and why?"}]}
ENGLISH = "The capital of Italy is Rome, for reasons of history."
CHINESE = "意大利的首都是罗马，这是历史原因造成的，罗马是永恒之城。"
LONG = "We add the numbers one by one and look at what comes of it. " * 4


def flaws(*texts: str, body: dict[str, Any] = BODY, **rules: Any) -> list[tuple[str, ...]]:
    """Those of the ballots beside each other, in the order in which they came."""
    screening = Screening(body, **rules)
    ballots = [Ballot(seat, f"m{seat}", text) for seat, text in enumerate(texts)]
    for ballot in ballots:
        screening.note(ballot)
    return [tuple(ballot.flaws) for ballot in screening.screened(ballots)]


@pytest.mark.parametrize(
    ("text", "script"),
    [
        (ENGLISH, "latin"),
        ("Größe und Übermaß – „ähnlich“ wie früher", "latin"),
        (CHINESE, "chinese or japanese"),
        ("Столица Италии — это Рим, конечно", "cyrillic"),
        ("42", None),
        ("→ 42 ≈ 6 · 7", None),
        ("\ud800" * 40, None),
    ],
)
def test_the_script_of_a_text_is_that_of_most_of_its_letters(text: str, script: str | None) -> None:
    assert script_of(text) == script


def test_an_answer_in_another_script_than_question_and_others_is_off_language() -> None:
    assert flaws(ENGLISH, CHINESE, "Rome is the capital of Italy.") == [(), ("off_language",), ()]


def test_where_most_answer_in_another_script_that_was_asked_for() -> None:
    assert flaws(CHINESE, CHINESE, ENGLISH) == [(), (), ()]


def test_a_number_has_no_language_and_a_question_without_one_asks_for_none() -> None:
    assert flaws(ENGLISH, "42", "42") == [(), (), ()]
    assert flaws(ENGLISH, CHINESE, ENGLISH, body={}) == [(), (), ()]


def test_a_long_text_word_for_word_is_a_copy_and_a_short_one_an_agreement() -> None:
    assert flaws(LONG + "Rome.", "Rome.", LONG.upper() + "\n\nROME.", "Rome.") == [(), (), ("copy",), ()]
    assert flaws(LONG, LONG, copies_count=True) == [(), ()]


def test_the_same_code_is_an_agreement() -> None:
    code = f"```python\n# {LONG}\ndef f():\n    return 1\n```"

    assert flaws(code, code) == [(), ()]


def test_flawed_answers_are_dropped_only_where_that_is_configured_and_others_are_there() -> None:
    assert len(flaws(ENGLISH, CHINESE, ENGLISH, drop=("off_language",))) == 2
    assert len(flaws(ENGLISH, CHINESE, ENGLISH, drop=("empty",))) == 3
    truncated = Ballot(0, "a", "Once upon", flaws=("truncated",))
    assert Screening({}, ("truncated",)).screened([truncated]) == [truncated]


def a_panel(rules: PanelRules) -> Panel:
    return Panel(("a", "b", "c", "d", "e"), rules, BODY)


def heard(panel: Panel, **texts: str) -> Done:
    for name, text in texts.items():
        panel.hear(an_answer(name, text))
    step = panel.step()
    assert isinstance(step, Done)
    return step


def test_copies_of_one_member_do_not_outvote_two_others() -> None:
    copied = LONG + "The answer is 41."
    texts = {"a": copied, "b": copied, "c": copied, "d": "The answer is 42.", "e": "I get 42."}

    assert heard(a_panel(PanelRules("majority_vote")), **texts).answer.text == "The answer is 42."


def test_what_feedback_taught_counts_for_copies_as_it_is() -> None:
    copied = LONG + "The answer is 41."
    texts = {"a": copied, "b": copied, "c": copied, "d": "The answer is 42.", "e": "I get 42."}
    trust = Trust(dict.fromkeys("abcde", 1.0), 0.0, 100)

    assert heard(a_panel(PanelRules(trust=trust)), **texts).answer.text == copied


def test_nothing_is_decided_early_while_answers_are_in_several_languages() -> None:
    panel = a_panel(PanelRules("majority_vote", quorum=1))
    for name, text in (("a", ENGLISH), ("b", ENGLISH), ("c", CHINESE)):
        panel.hear(an_answer(name, text))

    assert panel.step() == Wait(["d", "e"])
