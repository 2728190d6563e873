from dataclasses import replace

import pytest

from actors.ensembling.ballot import Ballot, Seat
from actors.ensembling.merges.best_of_n import BestOfN
from actors.ensembling.merges.majority_vote import MajorityVote
from actors.ensembling.merges.protocol import Decided, Verdict, Waiting
from actors.ensembling.merges.weighted_consensus import WeightedConsensus


def ballot(seat: int, answer: str | None, weight: float = 1.0, logprob_mean: float | None = None) -> Ballot:
    return Ballot(seat, f"m{seat}", f"text {seat}", answer, weight, logprob_mean)


def decision(verdict: Verdict) -> Decided:
    assert isinstance(verdict, Decided)
    return verdict


def test_the_majority_wins_against_a_heavier_minority() -> None:
    verdict = decision(MajorityVote().decide([ballot(0, "1", 9.0), ballot(1, "2"), ballot(2, "2")], []))

    assert verdict.winner.backend == "m1"
    assert verdict.support_01 == pytest.approx(2 / 3)


def test_a_consensus_follows_the_member_that_is_trusted_most() -> None:
    verdict = decision(WeightedConsensus().decide([ballot(0, "1", 3.0), ballot(1, "2"), ballot(2, "2")], []))

    assert verdict.winner.backend == "m0"
    assert verdict.support_01 == pytest.approx(0.6)


def test_one_weight_above_all_others_decides_without_waiting() -> None:
    outstanding = [Seat("m1", 1.0), Seat("m2", 1.0)]

    assert decision(WeightedConsensus().decide([ballot(0, "1", 3.0)], outstanding)).decided_early
    assert MajorityVote().decide([ballot(0, "1", 3.0)], outstanding) == Waiting()


def test_a_member_without_weight_is_not_waited_for() -> None:
    assert decision(WeightedConsensus().decide([ballot(0, "1")], [Seat("m1", 0.0)])).decided_early


def test_certainty_settles_a_split_between_equal_members() -> None:
    verdict = decision(WeightedConsensus().decide([ballot(0, "1", 1.0, -2.0), ballot(1, "2", 1.0, -0.01)], []))

    assert verdict.winner.backend == "m1"


def test_certainty_does_not_count_where_a_member_shows_none() -> None:
    verdict = decision(
        WeightedConsensus().decide([ballot(0, "1", 1.0, -2.0), ballot(1, "2", 1.0, -0.01), ballot(2, "3")], [])
    )

    assert [vote.weight for vote in verdict.votes] == pytest.approx([1 / 3] * 3)


def test_a_lead_that_rests_on_certainty_waits_for_members_that_may_show_none() -> None:
    ballots = [ballot(0, "1", 2.0, 0.0), ballot(1, "2", 1.5, -9.0)]

    assert WeightedConsensus().decide(ballots, [Seat("m2", 0.6)]) == Waiting()
    assert decision(WeightedConsensus().decide(ballots, [Seat("m2", 0.4)])).winner.backend == "m0"


def test_free_texts_that_an_outstanding_one_could_unite_keep_the_vote_open() -> None:
    leading = [replace(ballot(seat, None), text="one two three four") for seat in (0, 1, 2)]
    apart = [replace(ballot(3, None), text="a b c d e"), replace(ballot(4, None), text="c d e f g")]

    assert MajorityVote().decide([*leading, *apart], [Seat("m5", 1.0)]) == Waiting()


def test_of_equal_answers_the_heavier_member_speaks() -> None:
    verdict = decision(WeightedConsensus().decide([ballot(0, "1", 1.0), ballot(1, "1", 2.0)], []))

    assert (verdict.winner.backend, verdict.support_01) == ("m1", 1.0)


def test_weights_that_are_all_zero_count_as_equal() -> None:
    verdict = decision(WeightedConsensus().decide([ballot(0, "1", 0.0), ballot(1, "2", 0.0), ballot(2, "2", 0.0)], []))

    assert verdict.winner.backend == "m1"
    assert verdict.support_01 == pytest.approx(2 / 3)


def test_free_texts_that_have_nothing_in_common_leave_the_confidence_unknown() -> None:
    texts = [replace(ballot(0, None), text="alpha beta"), replace(ballot(1, None), text="gamma delta")]

    assert decision(MajorityVote().decide(texts, [])).confidence_01 is None


def test_best_of_n_takes_the_surest_answer_and_says_who_could_not_compete() -> None:
    verdict = decision(
        BestOfN().decide([ballot(0, "1", 1.0, -0.7), ballot(1, "2", 1.0, -0.1), ballot(2, "1", 9.0)], [])
    )

    assert verdict.winner.backend == "m1"
    assert verdict.reasons == ["1 of 3 answers have no logprobs and could not compete"]


def test_the_judge_overrules_logprobs() -> None:
    ballots = [
        replace(ballot(0, "1", 1.0, -0.1), judge_score_01=0.2),
        replace(ballot(1, "2", 1.0, -2.0), judge_score_01=0.8),
    ]

    verdict = decision(BestOfN().decide(ballots, []))

    assert (verdict.winner.backend, verdict.reasons) == ("m1", [])
    assert verdict.support_01 == pytest.approx(0.8)


def test_best_of_n_without_any_score_goes_by_weight_and_says_so() -> None:
    verdict = decision(BestOfN().decide([ballot(0, "1"), ballot(1, "2", 2.0)], []))

    assert verdict.winner.backend == "m1"
    assert verdict.reasons == ["no answer has logprobs: weights and panel order decided"]


def test_best_of_n_waits_for_everybody() -> None:
    assert BestOfN().decide([ballot(0, "1", 9.0, 0.0)], [Seat("m1", 0.0)]) == Waiting()
