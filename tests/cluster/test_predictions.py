"""Does a learned model find out, within one type of task, which of its members suits which kind of question?"""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.running_gateway import RunningGateway, wait_until
from tests.support.single import Start, start

__all__ = ["start"]  # a fixture

COMPANY = """
backends:
  chemist:
    provider: scripted
    script: {replies: [{match: "element", text: "Right."}, {text: "Wrong."}]}
  traveller:
    provider: scripted
    script: {replies: [{match: "city", text: "Right."}, {text: "Wrong."}]}
models:
  guide: {strategy: learned, members: [chemist, traveller]}
optimizer: {state: "sqlite:///FOLDER/state.db"}
"""
ELEMENTS = [f"Which chemical element has the atomic number {n}?" for n in range(1, 60)]
CITIES = [f"Which city lies {n} km to the north of the capital of France?" for n in range(1, 60)]
QUESTIONS = [question for both in zip(ELEMENTS, CITIES, strict=True) for question in both]


def ask(gateway: RunningGateway, question: str) -> dict[str, Any]:
    body = {"model": "guide", "messages": [{"role": "user", "content": question}]}
    reply = gateway.http.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def is_right(reply: dict[str, Any]) -> bool:
    return bool(reply["choices"][0]["message"]["content"] == "Right.")


def judged(gateway: RunningGateway, question: str) -> dict[str, Any]:
    """The reply, after it was said whether it is right."""
    reply = ask(gateway, question)
    judgement = {"request_id": reply["troupe"]["request_id"], "correct": is_right(reply)}
    assert gateway.http.post("/v1/feedback", json=judgement).status_code == 200
    return reply


@pytest.mark.timeout(180)
def test_each_kind_of_question_goes_to_the_member_that_answers_it_well(start: Start, tmp_path: Path) -> None:
    config = tmp_path / "company.yaml"
    config.write_text(COMPANY.replace("FOLDER", str(tmp_path)))
    gateway = start(config)
    wait_until(gateway.all_alive, 60)
    rounds, asked = count(), list[dict[str, Any]]()

    def most_are_right() -> bool:
        """Of 118 in a row; 59 would be, whoever is asked, and some must be spent on finding out."""
        number = next(rounds)
        asked[:] = [judged(gateway, f"{question} ({number})") for question in QUESTIONS]
        return sum(is_right(reply) for reply in asked) >= 95

    wait_until(most_are_right, 90, every_s=0.1)

    learned = gateway.http.get("/api/optimizer").json()["learned"]["predictions"]
    assert learned["in_use"] is True
    assert learned["error"] < learned["rating_error"]
    last = next(reply for reply in reversed(asked) if is_right(reply))
    wait_until(lambda: explained(gateway, last), 10)
    predicted = {one["name"]: one["quality_01"] for one in explained(gateway, last)["optimizer"]["predicted"]}
    assert max(predicted, key=predicted.__getitem__) == last["troupe"]["backend"]


def explained(gateway: RunningGateway, reply: dict[str, Any]) -> dict[str, Any]:
    """The explanation, empty until it is there."""
    found = gateway.http.get(f"/explain/{reply['troupe']['request_id']}")
    told: dict[str, Any] = found.json()
    return told if found.status_code == 200 else {}
