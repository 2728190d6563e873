from actors.protocol.tasks import ANY_TASK
from actors.protocol.trust import Trust, trust_for


def trust(judgements: int) -> Trust:
    return Trust({"a": 1.0}, 0.5, judgements)


def test_a_type_of_task_has_a_trust_of_its_own_once_there_was_enough_feedback_on_it() -> None:
    overall = trust(100)

    assert trust_for("math", {"math": trust(20), ANY_TASK: overall}) == trust(20)
    assert trust_for("math", {"math": trust(19), ANY_TASK: overall}) is overall
    assert trust_for("code", {"math": trust(20), ANY_TASK: overall}) is overall


def test_where_no_feedback_was_given_nobody_is_trusted_more() -> None:
    assert trust_for("math", {}) is None
    assert trust_for("math", {"code": trust(50)}) is None
