"""Why was this answered that way? One decision record as JSON, without a word of the question or the answer."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace

from actors.protocol.messages import Attempt, DecisionRecord, EnsembleReport, JsonObject
from actors.protocol.tasks import probabilities_01


def without_words(record: DecisionRecord) -> DecisionRecord:
    """The record with each vote's answer replaced by a letter (the same letter, the same answer), without messages.

    A failure's message may quote an upstream's words: its code is enough.
    """
    ensemble = record.ensemble
    if ensemble is None:
        return record
    told = copy(record)
    told.ensemble = copy(ensemble)
    told.ensemble.votes = [
        replace(vote, answer=letter)
        for vote, letter in zip(ensemble.votes, letters_of([vote.answer for vote in ensemble.votes]), strict=True)
    ]
    told.ensemble.failures = [replace(failure, message="") for failure in ensemble.failures]
    return told


def letters_of(answers: Sequence[str | None]) -> list[str | None]:
    """What each vote said, as a letter: the same letter, the same answer; `None` for who cast none."""
    letters: dict[str, str] = {}
    return [None if answer is None else letters.setdefault(answer, _letter(len(letters))) for answer in answers]


def explanation(record: DecisionRecord) -> JsonObject:
    """All that is known of how the request was answered. Takes a record without words.

    `attempts` are in the order of their ends; times in ms.
    """
    return {
        "request_id": record.request_id,
        "finished_at_s": record.finished_at_s,
        "model": record.model,
        "key": record.key_name,
        "strategy": record.strategy,
        "backend": record.backend,
        "outcome": record.outcome,
        "status": record.status,
        "stream": record.stream,
        "latency_ms": round(record.latency_ms, 3),
        "overhead_ms": round(record.overhead_ms, 3),
        "upstream_ms": round(max(0.0, record.latency_ms - record.overhead_ms), 3),
        "ttft_ms": record.ttft_ms,
        "cost_usd": record.cost_usd,
        "saved_usd": record.saved_usd,
        "usage": record.usage.as_json() | {"estimated": record.usage.estimated} if record.usage else None,
        "attempts": [_attempt(attempt) for attempt in record.attempts],
        "table_version": record.table_version,
        "breakers": dict(record.unclosed),
        "excluded": [{"backend": backend, "reason": reason} for backend, reason in record.excluded],
        "ensemble": record.ensemble and _ensemble(record.ensemble),
        "optimizer": {
            "task_type": record.task_type,
            "task_types_01": probabilities_01(record.task_permille),
            "pattern": record.pattern,
            "propensity_01": record.propensity_01,
            "explored": record.explored,
            "predicted": [
                {"name": name, "quality_01": round(quality_01, 4), "reach_01": round(reach_01, 4)}
                for name, quality_01, reach_01 in record.predicted
            ],
        },
    }


def _attempt(attempt: Attempt) -> JsonObject:
    used = attempt.usage
    return attempt.as_json() | {
        "started_ms": None if attempt.started_ms is None else round(attempt.started_ms, 3),
        "queued_ms": None if attempt.queued_ms is None else round(attempt.queued_ms, 3),
        "ttft_ms": attempt.ttft_ms,
        "cost_usd": attempt.cost_usd,
        "usage": None if used is None else used.as_json() | {"estimated": used.estimated},
    }


def _ensemble(report: EnsembleReport) -> JsonObject:
    return report.as_json() | {
        "failures": [{"backend": failure.backend, "code": failure.code} for failure in report.failures]
    }


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else f"#{number + 1}"
