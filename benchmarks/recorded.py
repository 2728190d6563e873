"""Recorded scores of several models on the same questions, and the gateway's own learning played on them."""

import gzip
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import orjson

from actors.optimizing.drift import since_changes
from actors.optimizing.quality_predictor import LATEST, LatestPredictor, packed, unpacked
from actors.optimizing.question_features import Floats
from actors.optimizing.rating import LATEST as RATED
from actors.optimizing.rating import rated
from actors.optimizing.tasks.detector import TaskDetector
from actors.protocol.ratings import Seen, Verdict
from actors.routing.strategies import LocalView, order
from actors.routing.table import BackendRecord, ModelRecord, RoutingTable

PUBLISHED_EVERY = 20  # questions: at 20 requests a second, once a second


@dataclass(frozen=True, slots=True)
class Scores:
    """Of each question its text, what the gateway sees of it, and each model's score. `scores_01`: a row per question,
    a column per model."""

    models: Sequence[str]
    prompts: Sequence[str]
    task_types: Sequence[str]
    packed: Sequence[str]
    scores_01: Floats

    @property
    def features(self) -> Floats:
        """A row per question."""
        return np.array([unpacked(one) for one in self.packed])


def load(path: Path) -> Scores:
    """The questions of a file of JSON lines with id, prompt, model and score (or correct), for models that have all."""
    prompts: dict[str, str] = {}
    scores: dict[str, dict[str, float]] = {}
    with gzip.open(path) as lines:
        for row in map(orjson.loads, lines):
            prompts[row["id"]] = row["prompt"]
            found = row["correct"] if row.get("score") is None else row["score"]
            scores.setdefault(row["id"], {})[row["model"]] = float(found)
    detector = TaskDetector.trained()
    guesses = [detector.detect(prompt) for prompt in prompts.values()]
    models = sorted(set.intersection(*(set(one) for one in scores.values())))
    return Scores(
        models,
        list(prompts.values()),
        [guess.task_type for guess in guesses],
        [packed(prompt, guess.permille) for prompt, guess in zip(prompts.values(), guesses, strict=True)],
        np.array([[one[model] for model in models] for one in scores.values()]),
    )


class RecordedGateway:
    """The strategy `learned` with its learners and defaults, in one thread: what is judged goes to the learners at
    once, and what they learned to the strategy after every `PUBLISHED_EVERY` questions.

    `predicts`: whether the question itself is looked at, or its type of task alone.
    """

    def __init__(self, models: Sequence[str], rng: random.Random, *, predicts: bool = True) -> None:
        self._models = list(models)
        self._predicts = predicts
        self._model = ModelRecord("any", "learned", self._models)
        backends = {name: BackendRecord(name, "recorded", name, hosted=False) for name in models}
        self._table = RoutingTable(1, backends, {"any": self._model})
        self._view = LocalView(rng)
        self._judged: deque[Seen] = deque(maxlen=max(LATEST, RATED))  # newest first
        self._latest = LatestPredictor()
        self._asked = 0

    @property
    def predictions_in_use(self) -> bool:
        """Whether members are chosen by predictions, as long as ratings are not better."""
        return self._latest.in_use is not None

    def choose(self, task_type: str, features: str) -> int:
        """Which model is asked, as a place among the models."""
        if self._asked % PUBLISHED_EVERY == 1:
            self._publish()
        self._asked += 1
        self._view.task_type, self._view.features = task_type, features
        return self._models.index(order(self._model, self._table, self._view)[0])

    def judge(self, arm: int, score_01: float, *, every: bool = False) -> None:
        """The score of an answer to the question that was last asked. `every`: each model's is told, chosen or not."""
        name = self._models[arm]
        predicted_01 = {known: quality_01 for known, quality_01, _ in self._view.predicted}.get(name)
        propensity_01 = 1.0 if every else self._view.propensity_01
        verdict = Verdict(self._view.task_type, name, score_01)
        self._judged.appendleft(Seen(verdict, self._view.features, propensity_01, predicted_01))
        self._latest.note()

    def _publish(self) -> None:
        judged = list(self._judged)
        if self._predicts and self._latest.is_due:
            self._latest.renew(judged[:LATEST], self._asked)
        ratings = rated(one.verdict for one in since_changes(judged[:RATED])[0])
        self._table = replace(self._table, ratings=ratings, predictions=self._latest.in_use)
