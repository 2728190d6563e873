"""Is a judgement taken when, and only when, there is an answer that it can be about?"""

import httpx
import pytest
from openai import OpenAI

from tests.support.asking import envelope
from tests.support.openai_client import ask, streamed, told
from tests.support.running_gateway import RunningGateway


def judge(gateway: RunningGateway, **feedback: object) -> httpx.Response:
    return gateway.http.post("/v1/feedback", json=feedback)


@pytest.mark.parametrize("model", ["right", "company"])
def test_feedback_is_taken_right_after_the_reply_and_counted(
    gateway: RunningGateway, client: OpenAI, model: str
) -> None:
    before = gateway.acknowledged()

    request_id = told(ask(client, model))["request_id"]
    reply = judge(gateway, request_id=request_id, correct=True, comment="well done")

    assert (reply.status_code, reply.json()) == (200, {"request_id": request_id, "status": "new"})
    assert gateway.acknowledged() == before + 1


def test_feedback_is_taken_right_after_a_stream(gateway: RunningGateway, client: OpenAI) -> None:
    request_id = told(streamed(client, "company")[-1])["request_id"]

    assert judge(gateway, request_id=request_id, score_01=0.5).status_code == 200


def test_the_same_judgement_twice_counts_once(gateway: RunningGateway, client: OpenAI) -> None:
    request_id = told(ask(client, "right"))["request_id"]

    said = [judge(gateway, request_id=request_id, correct=judged).json()["status"] for judged in (True, True, False)]

    assert said == ["new", "repeated", "replaced"]


def test_feedback_on_an_unknown_request_is_a_404(gateway: RunningGateway) -> None:
    reply = judge(gateway, request_id="req_000000000000000000000000", correct=True)

    assert (reply.status_code, envelope(reply)["code"]) == (404, "request_not_found")


@pytest.mark.parametrize(
    ("feedback", "status", "param"),
    [
        ({"request_id": "req_1"}, 422, None),
        ({"request_id": "req_1", "comment": "no judgement"}, 422, None),
        ({"correct": True}, 400, "request_id"),
        ({"request_id": "req_1", "correct": "yes"}, 400, "correct"),
        ({"request_id": "req_1", "score_01": 2}, 400, "score_01"),
        ({"request_id": "req_1", "corect": True}, 400, "corect"),
    ],
)
def test_feedback_that_judges_nothing_or_wrongly_is_refused(
    gateway: RunningGateway, feedback: dict[str, object], status: int, param: str | None
) -> None:
    reply = judge(gateway, **feedback)

    assert (reply.status_code, envelope(reply)["param"]) == (status, param)
