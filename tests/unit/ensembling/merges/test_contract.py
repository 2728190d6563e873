"""Which promises does every merge strategy keep? Run over the registry, so a new one is tested by existing."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.ensembling.agreement import clusters, token_overlap
from actors.ensembling.ballot import Ballot, Seat
from actors.ensembling.flaws import FLAW_FACTORS
from actors.ensembling.merges import MERGES
from actors.ensembling.merges.protocol import Decided, MergeStrategy, Waiting

VOTES = ["majority_vote", "weighted_consensus"]

loose_ballots = st.builds(
    Ballot,
    seat=st.just(0),
    backend=st.just(""),
    text=st.sampled_from(["", "a b c d", "a b c e", "a b e f", "x y z", "u v w"]),
    final_answer=st.sampled_from([None, None, "1", "1", "1", "2", "3"]),
    prior_weight=st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 1.0, 1.0, 4.0]),
    logprob_mean=st.sampled_from([None, 0.0, -0.1, -0.7, -3.0]),
    flaws=st.sampled_from([(), (), (), *((flaw,) for flaw in FLAW_FACTORS)]),
    judge_score_01=st.just(None),
)


@st.composite
def panels(draw: st.DrawFn) -> list[Ballot]:
    loose = draw(st.lists(loose_ballots, min_size=1, max_size=6))
    return [replace(ballot, seat=seat, backend=f"m{seat}") for seat, ballot in enumerate(loose)]


def strategy(name: str) -> MergeStrategy:
    return MERGES[name](token_overlap)


def decided(name: str, ballots: Sequence[Ballot]) -> Decided:
    verdict = strategy(name).decide(ballots, [])
    assert isinstance(verdict, Decided)
    return verdict


def says_the_same(one: Ballot, other: Ballot, among: Sequence[Ballot]) -> bool:
    groups = [[among[place] for place in group] for group in clusters(among, token_overlap)]
    return any(one in group and other in group for group in groups)


@pytest.mark.parametrize("name", MERGES)
@given(data=st.data(), ballots=panels())
@settings(max_examples=60)
def test_the_order_of_arrival_does_not_matter(name: str, data: st.DataObject, ballots: list[Ballot]) -> None:
    shuffled = data.draw(st.permutations(ballots))

    assert decided(name, shuffled) == decided(name, ballots)


@pytest.mark.parametrize("name", MERGES)
@given(ballots=panels())
@settings(max_examples=60)
def test_all_numbers_are_in_range_and_the_winner_is_one_of_the_ballots(name: str, ballots: list[Ballot]) -> None:
    verdict = decided(name, ballots)

    assert verdict.winner in ballots
    assert not verdict.decided_early
    assert [vote.backend for vote in verdict.votes] == [ballot.backend for ballot in ballots]
    assert math.isclose(sum(vote.weight for vote in verdict.votes), 1.0)
    assert all(0.0 <= vote.weight <= 1.0 for vote in verdict.votes)
    assert 0.0 <= verdict.support_01 <= 1.0
    assert verdict.confidence_01 is None or 0.0 <= verdict.confidence_01 <= 1.0


@pytest.mark.parametrize("name", MERGES)
@given(ballot=loose_ballots)
@settings(max_examples=30)
def test_a_single_ballot_wins_whatever_is_wrong_with_it(name: str, ballot: Ballot) -> None:
    verdict = decided(name, [ballot])

    assert (verdict.winner, verdict.support_01) == (ballot, 1.0)


@pytest.mark.parametrize("name", MERGES)
def test_nothing_to_decide_and_nobody_to_wait_for_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="at least one answer"):
        strategy(name).decide([], [])


@pytest.mark.parametrize("name", MERGES)
def test_without_answers_it_waits(name: str) -> None:
    assert strategy(name).decide([], [Seat("a", 1.0)]) == Waiting()


@pytest.mark.parametrize("name", MERGES)
def test_ties_go_to_the_prior_weight_then_to_the_logprob_then_to_the_seat(name: str) -> None:
    one, two = Ballot(0, "a", "", "1"), Ballot(1, "b", "", "2")
    surer = replace(two, logprob_mean=-0.1)
    heavier = replace(two, prior_weight=2.0)

    assert decided(name, [one, two]).winner == one
    assert decided(name, [one, surer]).winner == surer
    assert decided(name, [replace(one, logprob_mean=None), heavier]).winner == heavier


@pytest.mark.parametrize("name", MERGES)
@pytest.mark.parametrize("flaw", FLAW_FACTORS)
def test_a_flawed_answer_weighs_less_but_is_counted(name: str, flaw: str) -> None:
    sound = Ballot(0, "a", "x", "1", logprob_mean=-0.1)
    flawed = Ballot(1, "b", "y", "2", logprob_mean=-0.1, flaws=(flaw,))  # type: ignore[arg-type]

    verdict = decided(name, [flawed, sound])

    assert verdict.winner == sound
    assert 0 < verdict.votes[1].weight < verdict.votes[0].weight


@pytest.mark.parametrize("name", MERGES)
@given(data=st.data(), ballots=panels())
@settings(max_examples=100)
def test_no_member_that_was_not_waited_for_could_have_changed_an_early_answer(
    name: str, data: st.DataObject, ballots: list[Ballot]
) -> None:
    arrived = data.draw(st.permutations(ballots))
    for n_heard in range(1, len(arrived)):
        outstanding = [Seat(ballot.backend, ballot.prior_weight) for ballot in arrived[n_heard:]]
        early = strategy(name).decide(arrived[:n_heard], outstanding)
        # any number of the others may still answer, and the rest fail
        for n_in_the_end in range(n_heard, len(arrived) + 1):
            heard = arrived[:n_in_the_end]
            assert isinstance(early, Waiting) or says_the_same(early.winner, decided(name, heard).winner, heard)


@pytest.mark.parametrize("name", VOTES)
def test_three_of_five_equal_members_that_agree_decide(name: str) -> None:
    ballots = [Ballot(seat, f"m{seat}", "", "42") for seat in range(3)]
    outstanding = [Seat("m3", 1.0), Seat("m4", 1.0)]

    verdict = strategy(name).decide(ballots, outstanding)

    assert isinstance(verdict, Decided)
    assert verdict.decided_early
    assert strategy(name).decide(ballots[:2], [*outstanding, Seat("m2", 1.0)]) == Waiting()


@pytest.mark.parametrize("name", VOTES)
def test_a_possible_tie_is_waited_for(name: str) -> None:
    ballots = [Ballot(0, "a", "", "1"), Ballot(1, "b", "", "1")]

    assert strategy(name).decide(ballots, [Seat("c", 1.0), Seat("d", 1.0)]) == Waiting()


@pytest.mark.parametrize("name", VOTES)
def test_replies_without_an_answer_hardly_count_where_the_question_has_one(name: str) -> None:
    same_text = [Ballot(seat, f"m{seat}", "I am not sure about this one") for seat in (0, 1)]
    stated = [Ballot(seat, f"m{seat}", "", "42") for seat in (2, 3)]

    assert decided(name, same_text + stated).winner.final_answer == "42"


@pytest.mark.parametrize("name", VOTES)
def test_a_single_short_phrase_does_not_outvote_free_texts_that_agree(name: str) -> None:
    texts = [Ballot(seat, f"m{seat}", "the sky is blue by scattering of light") for seat in range(3)]
    odd = Ballot(3, "m3", "Sure!", "sure")

    assert decided(name, [*texts, odd]).winner == texts[0]
