import pytest

from actors.ensembling.ensembler import MultiModelEnsembler
from actors.ensembling.merges import MERGES
from actors.ensembling.panel import Done, Failed
from actors.protocol.errors import ConfigError
from actors.protocol.messages import Answer, Completion, Failure


def an_answer(backend: str, text: str) -> Answer:
    return Answer(backend, Completion({}, text, "stop", None), latency_ms=5.0)


@pytest.mark.parametrize("merge", MERGES)
def test_every_merge_gives_an_answer_and_a_report_that_names_it(merge: str) -> None:
    ended = MultiModelEnsembler(merge).merge([an_answer("a", "42"), an_answer("b", "41"), an_answer("c", "42")])

    assert isinstance(ended, Done)
    assert (ended.answer.backend, ended.report.merge, ended.report.winner) == ("a", merge, "a")
    assert ended.report.as_json()["votes"][1]["answer"] == "41"


def test_weights_are_those_of_the_caller() -> None:
    ended = MultiModelEnsembler().merge([an_answer("a", "41"), an_answer("b", "42")], weights={"a": 1.0, "b": 3.0})

    assert isinstance(ended, Done)
    assert (ended.answer.backend, ended.report.support_01) == ("b", 0.75)


def test_failures_alone_fail() -> None:
    ended = MultiModelEnsembler().merge([Failure("a", "timeout", "Too long.", 504, True, 1.0)])

    assert isinstance(ended, Failed)


def test_merging_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        MultiModelEnsembler().merge([])


def test_an_unknown_merge_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match="majority_vote"):
        MultiModelEnsembler("mojority_vote")


def test_a_ballot_shows_how_an_answer_is_seen() -> None:
    assert MultiModelEnsembler().ballot(an_answer("a", "It costs $42."), 0.5).final_answer == "42"
