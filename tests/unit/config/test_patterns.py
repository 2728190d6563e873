from actors.config.patterns import PatternConfig, patterns_of
from actors.rewriting.patterns import BUILT_IN, Example


def made(**given: object) -> PatternConfig:
    return PatternConfig.model_validate(given)


def test_what_is_built_in_is_there_without_a_word() -> None:
    assert patterns_of({}) == BUILT_IN


def test_a_pattern_is_added_changed_or_switched_off() -> None:
    found = patterns_of(
        {
            "own": made(template="{question} Go.", task_types=["math"], min_chars=5),
            "format": made(max_chars=100),
            "expansion": made(enabled=False),
        }
    )

    assert found["own"].put("1+1?") == "1+1? Go."
    assert (found["own"].task_types, found["own"].min_chars) == (("math",), 5)
    assert found["format"].max_chars == 100
    assert found["format"].template == BUILT_IN["format"].template
    assert "expansion" not in found


def test_examples_of_a_pattern_are_given_with_it() -> None:
    found = patterns_of({"exemplification": made(examples=[{"question": "1+1?", "answer": "2"}])})

    assert found["exemplification"].examples == [Example("1+1?", "2")]


def test_conditions_can_be_taken_away() -> None:
    assert patterns_of({"format": made(task_types=[])})["format"].task_types == ()
