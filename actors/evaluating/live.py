"""How good, how fast and how dear are the models of a running gateway, asked for real?"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

from actors.evaluating.comparison import BEST_SINGLE, MEAN_MEMBER, ORACLE, Compared, Row
from actors.evaluating.recorded import Marker, Question, Reply
from actors.evaluating.statistics import (
    Interval,
    Told,
    brier,
    expected_calibration_error,
    paired_bootstrap,
)
from actors.protocol.clock import Clock
from actors.protocol.errors import LLMError
from actors.protocol.messages import JsonObject

Ask = Callable[[str, str], JsonObject]
"""The gateway's reply of a model to one user message. Raises errors of the `LLMError` tree."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One question to one model. `calls`: of backends, for it; unknown numbers are `None`. `failure`: the error's code,
    where there was no answer."""

    text: str = field(repr=False)
    right: bool
    latency_ms: float
    calls: int = 0
    tokens: int | None = None
    cost_usd: float | None = None
    confidence_01: float | None = None
    failure: str | None = None


@dataclass(slots=True)
class Live:
    """What each model said to each question. `backends`: those of the models that are a single one."""

    questions: Sequence[Question]
    backends: Sequence[str]
    heard: Mapping[str, Sequence[Heard]]

    @property
    def best(self) -> str:
        """The backend that was right most often, known in hindsight; of all models where no backend was asked."""
        return max(self.backends or self.heard, key=lambda name: fmean(one.right for one in self.heard[name]))

    def against_best(self, name: str, seed: int = 0) -> Interval:
        """By how much a model is more often right than the best single one, with its paired 95 % interval."""
        pairs = zip(self.heard[name], self.heard[self.best], strict=True)
        return paired_bootstrap([float(one.right) - other.right for one, other in pairs], random.Random(seed))

    def compared(self) -> Compared:
        """The rows of a plot: each model, and of the single ones the best, their mean and their oracle."""
        found = Compared(f"{len(self.questions)} questions, asked for real")
        for name, heard in self.heard.items():
            told = [Told(one.confidence_01, one.right) for one in heard if one.confidence_01 is not None]
            right = [float(one.right) for one in heard]
            found.rows.append(Row(name, right, fmean(one.calls for one in heard), total_mean(heard), told))
        singles = [found.row(name) for name in self.backends]
        if singles:
            by_question = list(zip(*(row.right for row in singles), strict=True))
            tokens = fmean(row.tokens for row in singles)
            found.rows.append(Row(BEST_SINGLE, found.row(self.best).right, 1, found.row(self.best).tokens))
            found.rows.append(Row(MEAN_MEMBER, [fmean(right) for right in by_question], 1, tokens))
            found.rows.append(Row(ORACLE, [max(right) for right in by_question], len(singles), tokens * len(singles)))
        return found


def hear(
    questions: Sequence[Question],
    models: Sequence[str],
    backends: Sequence[str],
    ask: Ask,
    marker: Marker,
    clock: Clock,
    at_once: int = 1,
    on_heard: Callable[[], None] = lambda: None,
) -> Live:
    """Asks every model every question, `at_once` of them at the same time, question by question."""

    def one(asked: tuple[Question, str]) -> Heard:
        question, model = asked
        started_s = clock.monotonic_s()
        try:
            body = ask(model, question.prompt)
        except LLMError as error:
            return Heard("", False, (clock.monotonic_s() - started_s) * 1000, failure=error.code)
        finally:
            on_heard()
        return heard_in(body, question, marker, (clock.monotonic_s() - started_s) * 1000)

    order = [(question, model) for question in questions for model in models]
    with ThreadPoolExecutor(at_once) as threads:
        results = list(threads.map(one, order))
    found: dict[str, list[Heard]] = {model: [] for model in models}
    for (_, model), heard in zip(order, results, strict=True):
        found[model].append(heard)
    return Live(questions, [name for name in backends if name in found], found)


def heard_in(body: Mapping[str, Any], question: Question, marker: Marker, latency_ms: float) -> Heard:
    """What a gateway's reply says, and whether it is right."""
    text = str(body["choices"][0]["message"].get("content") or "")
    troupe, usage = body.get("troupe") or {}, body.get("usage") or {}
    return Heard(
        text,
        marker.is_right(question, Reply("", text, None)),
        latency_ms,
        len(troupe.get("attempts", ())),
        usage.get("total_tokens"),
        troupe.get("cost_usd"),
        (troupe.get("ensemble") or {}).get("confidence_01"),
    )


def recorded_rows(live: Live) -> Iterator[JsonObject]:
    """The answers in the schema that a replay reads, one object per question and model; failures are left out."""
    for place, question in enumerate(live.questions):
        told = {"id": question.name, "task_type": question.task_type, "prompt": question.prompt, "gold": question.gold}
        for model, heard in live.heard.items():
            if heard[place].failure is None:
                yield {**told, "model": model, "response": heard[place].text, "correct": heard[place].right}


def as_json(live: Live) -> JsonObject:
    """The table as JSON. Latencies are medians in milliseconds, tokens and cost (US dollars) means per question."""
    rows = {row.name: row for row in live.compared().rows}
    return {
        "questions": len(live.questions),
        "best_single": live.best,
        "rows": [
            {
                "name": name,
                "accuracy": rows[name].accuracy,
                "against_best_single": live.against_best(name)._asdict(),
                "calls": rows[name].calls,
                "tokens": rows[name].tokens,
                "cost_usd": mean_cost_usd(heard),
                "p50_ms": median(one.latency_ms for one in heard),
                "brier": brier(rows[name].told),
                "expected_calibration_error": expected_calibration_error(rows[name].told),
                "failures": sum(one.failure is not None for one in heard),
            }
            for name, heard in live.heard.items()
        ],
        "mean_member": rows[MEAN_MEMBER].accuracy if MEAN_MEMBER in rows else None,
        "oracle": rows[ORACLE].accuracy if ORACLE in rows else None,
    }


def mean_cost_usd(heard: Sequence[Heard]) -> float | None:
    """The mean cost of a question; `None` where no price is known."""
    known = [one.cost_usd for one in heard if one.cost_usd is not None]
    return fmean(known) if known else None


def total_mean(heard: Sequence[Heard]) -> float:
    """Tokens per question; where nobody counted them, 0."""
    return fmean(one.tokens or 0 for one in heard)
