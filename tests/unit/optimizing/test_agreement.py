from collections.abc import Sequence

import orjson
import pytest

from actors.optimizing.agreement import Agreements, votes_of, votes_written
from actors.optimizing.outcome_json import outcome_json
from actors.optimizing.rating import rated
from actors.protocol.messages import DecisionRecord, EnsembleReport, Vote
from actors.protocol.ratings import Verdict


def merged(winner: str, *votes: tuple[str, str | None], merge: str = "majority_vote") -> DecisionRecord:
    report = EnsembleReport(
        len(votes),
        len(votes),
        2,
        merge,
        winner,
        0.9,
        0.7,
        False,
        False,
        [Vote(name, said, 1.0) for name, said in votes],
    )
    return DecisionRecord(
        "r", 0.0, "team", "ensemble", winner, "ok", 200, 1.0, 1.0, False, ensemble=report, task_type="math"
    )


def taught(outcome: DecisionRecord) -> Sequence[tuple[str, float]]:
    return [(verdict.backend, verdict.reward_01) for verdict in votes_of(outcome)]


def test_a_vote_counts_by_whether_it_agrees_with_the_answer() -> None:
    outcome = merged("a", ("a", "42"), ("b", "42"), ("c", "41"), ("d", None))

    assert taught(outcome) == [("a", 1.0), ("b", 1.0), ("c", 0.0)]


def test_where_nobody_agrees_nothing_is_taught() -> None:
    assert taught(merged("a", ("a", "42"), ("b", "41"))) == []


def test_the_pick_of_a_judge_raises_one_and_lowers_the_others_by_as_much_together() -> None:
    outcome = merged("b", ("a", None), ("b", None), ("c", None), merge="best_of_n")

    assert taught(outcome) == [("b", 1.0), ("a", 0.25), ("c", 0.25)]


def test_what_the_journal_wrote_teaches_the_same() -> None:
    outcome = merged("a", ("a", "42"), ("b", "42"), ("c", "41"))

    assert votes_written(orjson.loads(outcome_json(outcome))) == votes_of(outcome)


def test_ten_agreements_weigh_as_one_judgement_and_all_as_ten_at_most() -> None:
    votes = [Verdict("math", "a", 1.0)]

    # (1 + 2 * 0.5) / (1 + 2), but for what old ones lose
    assert rated([], votes * 10)["any"]["a"].quality_01 == pytest.approx(2 / 3, abs=0.01)
    assert rated([], votes * 1000)["any"]["a"].judgements == 10.0


def test_judgements_prevail_over_agreement() -> None:
    agreed, wrong = [Verdict("math", "a", 1.0)] * 1000, [Verdict("math", "a", 0.0)] * 50

    assert rated(wrong, agreed)["math"]["a"].quality_01 < 0.25


def test_the_newest_votes_come_first() -> None:
    agreements = Agreements()

    assert not agreements.note([merged("a", ("a", "1"), ("b", "2"))])
    assert agreements.note([merged("a", ("a", "1"), ("b", "1")), merged("b", ("b", "1"), ("c", "1"))])
    assert [verdict.backend for verdict in agreements.newest_first()] == ["c", "b", "b", "a"]
