from dataclasses import replace

from actors.optimizing.lessons import Ballots, Lessons, ballots_of, ballots_written, trust_json
from actors.protocol.messages import DecisionRecord, EnsembleReport, Feedback, Vote

VOTES = [("a", "42"), ("b", "41"), ("c", None)]


def record(request_id: str = "r1") -> DecisionRecord:
    votes = [Vote(member, answer, 0.3) for member, answer in VOTES]
    report = EnsembleReport(3, 3, 2, "weighted_consensus", "a", 0.8, 0.5, False, False, votes)
    return DecisionRecord(request_id, 0.0, "panel", "ensemble", "a", "ok", 200, 1.0, 1.0, False, ensemble=report)


def weights_after(feedback: Feedback) -> dict[str, float]:
    lessons = Lessons(str.strip)
    lessons.note([record()])
    lessons.judge(feedback)
    learned = lessons.trust()
    return dict(learned["panel"]["unknown"].weights) if learned else {}


def test_a_right_answer_speaks_for_those_who_gave_it() -> None:
    weights = weights_after(Feedback("r1", correct=True))

    assert weights["a"] > weights["c"] > weights["b"]


def test_a_wrong_answer_speaks_against_those_who_gave_it() -> None:
    weights = weights_after(Feedback("r1", correct=False))

    assert weights["a"] < weights["b"]


def test_a_gold_answer_tells_who_was_right_although_the_merged_answer_was_not() -> None:
    weights = weights_after(Feedback("r1", gold=" 41 "))

    assert weights["b"] > weights["c"] > weights["a"]


def test_a_preferred_member_was_right() -> None:
    assert weights_after(Feedback("r1", preferred="b")) == weights_after(Feedback("r1", gold="41"))
    assert weights_after(Feedback("r1", preferred="c")) == {}  # it gave no answer


def test_what_follows_from_the_right_answer_counts_as_said() -> None:
    assert weights_after(Feedback("r1", gold_right=False)) == weights_after(Feedback("r1", correct=False))


def test_a_score_counts_as_a_verdict() -> None:
    assert weights_after(Feedback("r1", score_01=0.9)) == weights_after(Feedback("r1", correct=True))


def test_undecided_or_unknown_judgements_teach_nothing() -> None:
    assert weights_after(Feedback("r1", score_01=0.5)) == {}
    assert weights_after(Feedback("r1", comment="hm")) == {}
    assert weights_after(Feedback("another", correct=True)) == {}


def test_the_journal_holds_enough_to_learn_again() -> None:
    written = {
        "model": "panel",
        "task_type": "unknown",
        "ensemble": {"winner": "a", "votes": [{"backend": "a", "group": 0}, {"backend": "b", "group": 1}]},
    }

    ballots = ballots_written(written)

    assert ballots == Ballots("panel", "unknown", [("a", "0"), ("b", "1")], "0", answers_known=False)
    assert ballots_written({"ensemble": None}) is None


def test_votes_without_answers_are_no_ballots() -> None:
    report = EnsembleReport(1, 1, 1, "majority_vote", "a", None, None, False, False, [Vote("a", None, 1.0)])
    silent = DecisionRecord("r", 0.0, "m", "ensemble", "a", "ok", 200, 1.0, 1.0, False, ensemble=report)

    assert ballots_of(silent) is None
    assert ballots_of(record()) == Ballots("panel", "unknown", VOTES, "42")


def test_the_report_shows_weights_and_how_much_is_behind_them() -> None:
    lessons = Lessons(str.strip)
    lessons.note([record()])
    lessons.judge(Feedback("r1", correct=True))

    shown = trust_json(lessons.trust())["panel"]["unknown"]

    assert (shown["judgements"], sorted(shown["weights"])) == (1, ["a", "b", "c"])


def test_a_judgement_teaches_its_own_type_of_task_and_all_types_together() -> None:
    lessons = Lessons(str.strip)
    lessons.note([replace(record(), task_type="math")])
    lessons.judge(Feedback("r1", correct=True))

    trust = lessons.trust()["panel"]

    assert trust["math"] == trust["any"]
    assert trust["math"].judgements == 1
