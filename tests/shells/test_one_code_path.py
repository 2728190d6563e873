"""Do `troupe eval` and the running gateway come to the same answers?"""

import random

from actors.evaluating.recorded import Marker, Question, Reply
from actors.evaluating.replay import Member, Plan, play
from actors.protocol.trust import Trust
from actors.routing.table import ModelRecord, RoutingTable
from tests.shells.test_orchestrator import Theatre

MODELS = ("a", "b", "c", "d", "e")
TRUST = Trust({"a": 1.9, "b": 0.7, "c": 0.7, "d": 0.4, "e": 1.1}, 0.2, 200)
PHRASES = (
    "The answer is {}.",
    "I get {}.",
    '{{"reasoning": "as above", "answer": "{}"}}',
    "so \\boxed{{{}}}",
    "No idea ({}?)",
)


def recorded(n: int) -> list[Question]:
    rng = random.Random(11)
    return [
        Question(
            f"question number {number}",
            "math",
            f"question number {number}",
            "7",
            {model: Reply(model, rng.choice(PHRASES).format(rng.choice((7, 7, 8, 9))), None) for model in MODELS},
        )
        for number in range(n)
    ]


async def test_they_agree_answer_for_answer_on_100_questions() -> None:
    questions = recorded(100)
    scripts = {
        model: {"replies": [{"match": f"^{q.prompt}$", "text": q.replies[model].text} for q in questions]}
        for model in MODELS
    }
    for plan in (Plan("all", hears_all=True), Plan("staged", stage=2), Plan("vote", "majority_vote", hears_all=True)):
        quorum = len(MODELS) if plan.hears_all else None
        model = ModelRecord("all", "ensemble", MODELS, plan.merge, quorum=quorum, staged=plan.stage)
        theatre = Theatre(scripts, model)
        table = theatre.table
        theatre.table = RoutingTable(2, table.backends, table.models, trust={"all": {"any": TRUST}})
        for question in questions:
            members = [Member(name, name) for name in MODELS]
            replayed, report = play(question, members, plan, Marker(), TRUST)

            lived = await theatre.ask("all", body={"messages": [{"role": "user", "content": question.prompt}]})

            told = lived["troupe"]["ensemble"]
            assert lived["choices"][0]["message"]["content"] == question.replies[replayed.winner or ""].text
            assert (told["asked"], told["winner"]) == (replayed.calls, replayed.winner)
            if plan.hears_all:  # else it is that of the votes which came first
                assert told["confidence_01"] == (
                    None if report.confidence_01 is None else round(report.confidence_01, 4)
                )
