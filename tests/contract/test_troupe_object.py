"""What does a reply say of how it came about, and what can a request wish?"""

import pytest
from openai import BadRequestError, OpenAI

from tests.support.openai_client import ask, text_of, told


def test_a_single_backends_reply_tells_of_its_one_attempt(client: OpenAI) -> None:
    troupe = told(ask(client, "right"))

    assert set(troupe) == {"request_id", "strategy", "backend", "attempts", "overhead_ms", "cost_usd", "optimizer"}
    (attempt,) = troupe["attempts"]
    assert (attempt["backend"], attempt["outcome"]) == ("right", "ok")
    assert attempt["latency_ms"] > 0
    assert set(troupe["optimizer"]) == {"task_type", "pattern", "propensity_01"}


def test_a_failovers_reply_tells_of_every_attempt(client: OpenAI) -> None:
    troupe = told(ask(client, "first"))

    assert troupe["strategy"] == "failover"
    assert [(one["backend"], one["outcome"]) for one in troupe["attempts"]] == [
        ("broken", "upstream_error"),
        ("right", "ok"),
    ]


def test_an_ensembles_reply_tells_who_said_what_and_how_sure_it_is(client: OpenAI) -> None:
    ensemble = told(ask(client, "company"))["ensemble"]

    assert (ensemble["asked"], ensemble["answered"], ensemble["quorum"]) == (3, 3, 3)
    assert (ensemble["merge"], ensemble["winner"]) == ("weighted_consensus", "right")
    assert (ensemble["degraded"], ensemble["failures"]) == (False, [])
    assert {vote["backend"]: vote["answer"] for vote in ensemble["votes"]} == {
        "right": "42",
        "agreeing": "42",
        "wrong": "41",
    }
    assert sum(vote["weight"] for vote in ensemble["votes"]) == pytest.approx(1, abs=0.001)
    assert 0.5 < ensemble["confidence_01"] < 1
    assert 0.5 < ensemble["support_01"] < 1


def test_a_failing_member_degrades_the_answer_and_is_named(client: OpenAI) -> None:
    reply = ask(client, "shaky")

    ensemble = told(reply)["ensemble"]
    assert "42" in text_of(reply)
    assert (ensemble["asked"], ensemble["answered"], ensemble["degraded"]) == (3, 2, True)
    assert [(one["backend"], one["code"]) for one in ensemble["failures"]] == [("broken", "upstream_error")]


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({"strategy": "failover"}, ("failover", 1, None)),
        ({"merge": "majority_vote"}, ("ensemble", 3, "majority_vote")),
        ({"members": ["wrong", "agreeing"], "quorum": 2}, ("ensemble", 2, "weighted_consensus")),
    ],
)
def test_wishes_of_one_request_are_granted(
    client: OpenAI, wishes: dict[str, object], expected: tuple[str, int, str | None]
) -> None:
    troupe = told(ask(client, "company", extra_body={"troupe": wishes}))

    merge = troupe["ensemble"]["merge"] if "ensemble" in troupe else None
    assert (troupe["strategy"], len(troupe["attempts"]), merge) == expected


@pytest.mark.parametrize(
    ("wishes", "param", "hint"),
    [
        ({"strategy": "failovr"}, "troupe.strategy", "Did you mean 'failover'?"),
        ({"merge": "majority"}, "troupe.merge", "Did you mean 'majority_vote'?"),
        ({"members": ["rigth"]}, "troupe.members", "Did you mean 'right'?"),
        ({"quorum": 4}, "troupe.quorum", "asks 3 members"),
        ({"quorums": 2}, "troupe.quorums", "Did you mean 'quorum'?"),
        ({"deadline_s": "soon"}, "troupe.deadline_s", "must be a number"),
    ],
)
def test_wishes_that_cannot_be_granted_are_refused_by_name(
    client: OpenAI, wishes: dict[str, object], param: str, hint: str
) -> None:
    with pytest.raises(BadRequestError) as refused:
        ask(client, "company", extra_body={"troupe": wishes})

    assert refused.value.param == param
    assert hint in refused.value.message


def test_a_deadline_of_the_request_ends_it_in_time(client: OpenAI) -> None:
    reply = ask(client, "waiting", extra_body={"troupe": {"deadline_s": 1}})

    ensemble = told(reply)["ensemble"]
    assert "42" in text_of(reply)
    assert ensemble["degraded"]
    assert [one["backend"] for one in ensemble["failures"]] == ["endless"]
