"""What of an outcome is written down?"""

import orjson

from actors.protocol.messages import DecisionRecord, EnsembleReport, JsonObject


def outcome_json(outcome: DecisionRecord) -> str:
    """The record as JSON text: who was asked, how it went and how members voted, but nothing that anybody said."""
    return orjson.dumps(
        {
            "request_id": outcome.request_id,
            "finished_at_s": outcome.finished_at_s,
            "model": outcome.model,
            "strategy": outcome.strategy,
            "backend": outcome.backend,
            "outcome": outcome.outcome,
            "status": outcome.status,
            "latency_ms": outcome.latency_ms,
            "overhead_ms": outcome.overhead_ms,
            "ttft_ms": outcome.ttft_ms,
            "stream": outcome.stream,
            "attempts": outcome.attempts,
            "usage": outcome.usage,
            "cost_usd": outcome.cost_usd,
            "task_type": outcome.task_type,
            "pattern": outcome.pattern,
            "propensity_01": outcome.propensity_01,
            **({} if not outcome.features else _foreseen(outcome)),
            "ensemble": None if outcome.ensemble is None else _ensemble_as_json(outcome.ensemble),
        }
    ).decode()


def _foreseen(outcome: DecisionRecord) -> JsonObject:
    predicted = {name: quality_01 for name, quality_01, _ in outcome.predicted}
    return {"features": outcome.features, "predicted_01": predicted.get(outcome.backend or "")}


def _ensemble_as_json(report: EnsembleReport) -> JsonObject:
    """How the members voted, without what they said: `group` numbers the distinct answers, `None` for no vote."""
    groups: dict[str, int] = {}
    return {
        "model": report.model,
        "merge": report.merge,
        "winner": report.winner,
        "confidence_01": report.confidence_01,
        "support_01": report.support_01,
        "degraded": report.degraded,
        "votes": [
            {
                "backend": vote.backend,
                "weight": vote.weight,
                "confidence_01": vote.confidence_01,
                "group": None if vote.answer is None else groups.setdefault(vote.answer, len(groups)),
            }
            for vote in report.votes
        ],
        "failures": [{"backend": failure.backend, "code": failure.code} for failure in report.failures],
    }
