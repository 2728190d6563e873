from collections.abc import Sequence

from actors.optimizing.drift import since_changes
from actors.protocol.ratings import Seen, Verdict


def judged(*rewards_01: float, backend: str = "a", task_type: str = "math") -> list[Verdict]:
    """Oldest first, one each second."""
    return [Verdict(task_type, backend, reward_01, float(at_s)) for at_s, reward_01 in enumerate(rewards_01)]


def seen(verdicts: Sequence[Verdict], predicted_01: float | None = None) -> list[Seen]:
    return [Seen(verdict, predicted_01=predicted_01) for verdict in verdicts]


def test_while_nothing_changes_every_judgement_holds() -> None:
    newest_first = judged(*[1.0, 0.0, 1.0] * 100)[::-1]

    assert since_changes(seen(newest_first)) == (seen(newest_first), [])


def test_what_was_judged_before_a_fall_holds_no_longer() -> None:
    newest_first = judged(*[1.0] * 100, *[0.0] * 50)[::-1]

    held, [change] = since_changes(seen(newest_first))

    assert held == seen(newest_first[:50])
    assert (change.backend, change.before_01, change.after_01) == ("a", 1.0, 0.0)
    # Each surprise is nearly 1, less 0.1, and a little less as failures come in: 12 is passed by the 14th or 15th.
    assert change.judgements in (14, 15)
    assert change.at_s == 100.0 + change.judgements - 1


def test_a_backend_that_has_not_changed_keeps_its_judgements() -> None:
    steady = judged(*[0.5] * 150, backend="steady")
    fallen = judged(*[1.0] * 100, *[0.0] * 50, backend="fallen")
    newest_first = [verdict for pair in zip(steady, fallen, strict=True) for verdict in pair][::-1]

    held, changes = since_changes(seen(newest_first))

    assert [change.backend for change in changes] == ["fallen"]
    assert sum(one.verdict.backend == "steady" for one in held) == 150


def test_another_mix_of_tasks_is_no_change() -> None:
    easy, hard = judged(*[1.0] * 60), judged(*[0.0] * 60, task_type="code")
    mixed = [verdict for pair in zip(easy, hard, strict=True) for verdict in pair]

    _, changes = since_changes(seen([*mixed, *judged(*[0.0] * 100, task_type="code")][::-1]))

    assert changes == []


def test_who_gets_the_questions_that_suit_it_has_not_become_better() -> None:
    at_random = seen(judged(*[1.0, 0.0] * 50))
    suiting = seen(judged(*[1.0] * 100), predicted_01=0.95)

    _, changes = since_changes([*at_random, *suiting][::-1])
    _, unforeseen = since_changes([*at_random, *seen(judged(*[1.0] * 100))][::-1])

    assert changes == []
    assert len(unforeseen) == 1
