import json

from actors.protocol.messages import Attempt, DecisionRecord, EnsembleReport, Failure, Usage, Vote
from actors.tracing.explanation import explanation, without_words

VOTES = [Vote("a", "Paris", 0.4, 0.9), Vote("b", "Rome", 0.2), Vote("c", "Paris", 0.4), Vote("d", None, 0.0)]
FAILURES = [Failure("e", "timeout", "said Paris too late", 504, True, 1.0)]
REPORT = EnsembleReport(5, 4, 3, "majority_vote", "a", 0.8, 0.8, False, True, VOTES, FAILURES)
RECORD = DecisionRecord(
    "r1", 0.0, "team", "ensemble", "a", "ok", 200, 100.0, 2.0, False,
    attempts=(Attempt("a", "ok", 98.0, 10.0, Usage(3, 1, estimated=True), 0.25, started_ms=1.5),),
    usage=Usage(3, 1), cost_usd=0.25, ensemble=REPORT, excluded=(("f", "no vision"),),
)  # fmt: skip


def test_votes_say_who_agreed_with_whom_in_no_words() -> None:
    told = explanation(without_words(RECORD))

    assert [vote["answer"] for vote in told["ensemble"]["votes"]] == ["A", "B", "A", None]
    assert "Paris" not in json.dumps(told)
    assert told["ensemble"]["failures"] == [{"backend": "e", "code": "timeout"}]


def test_each_attempt_has_its_time_its_price_and_its_tokens() -> None:
    told = explanation(without_words(RECORD))

    assert told["attempts"] == [
        {
            "backend": "a",
            "outcome": "ok",
            "latency_ms": 98.0,
            "started_ms": 1.5,
            "queued_ms": None,
            "ttft_ms": 10.0,
            "cost_usd": 0.25,
            "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4, "estimated": True},
        }
    ]
    assert (told["upstream_ms"], told["excluded"]) == (98.0, [{"backend": "f", "reason": "no vision"}])
