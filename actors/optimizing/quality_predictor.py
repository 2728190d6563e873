"""What do judged answers say of the next question's, and is that better than what each backend's rating says?

A function of the judgements alone: nothing but those needs to be kept.
"""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from actors.optimizing.drift import since_changes
from actors.optimizing.quality_learner import Fit, Judged, Landmarks, faded, fitted
from actors.optimizing.question_features import SIZE, Floats, question_features
from actors.optimizing.rating import rated
from actors.protocol.messages import JsonObject
from actors.protocol.predictions import Expected
from actors.protocol.ratings import Seen, Verdict, rating_for

LATEST: Final = 6_000
LEAST: Final = 100  # judgements, before which nothing is predicted
HALF_LIFE: Final = 10_000.0  # judgements after which one counts half
OWN_PRIOR: Final = 15.0
NOISE: Final = 0.42  # standard deviation of a reward about its expectation
BLOCKS: Final = 5  # each but the first is predicted from those before it
BOLDNESS: Final = 0.2  # how much of the uncertainty is explored in the long run, and how much more of it at first
FIRST_BOLDNESS: Final = 1.2
SETTLED: Final = 1_000.0  # judgements in which that falls by a factor e
SURELY: Final = 1.64  # standard errors by which ratings must be better than predictions: 95 % of chance is ruled out
LEAST_ON_TYPE: Final = 30  # judgements on a type of task, before which it is not checked by itself
MOST_COUNTS: Final = 20.0  # of an answer that was most improbable
BINS: Final = 5
NEW_SHARE: Final = 20  # it is made anew for every twentieth of the judgements that it knows

_PACKED_BYTES: Final = 2 * SIZE


def packed(question: str, task_permille: Sequence[int] = ()) -> str:
    """A question's features as text of a kilobyte."""
    return base64.b64encode(question_features(question, task_permille).astype("<f2").tobytes()).decode()


def unpacked(features: str) -> Floats | None:
    """The features again; `None` for those of another release."""
    raw = base64.b64decode(features)
    return np.frombuffer(raw, "<f2").astype(np.float64) if len(raw) == _PACKED_BYTES else None


class Sample(NamedTuple):
    """A judgement with the features of its question, and how much it counts in a check: as much as all those that were
    as likely to be made, and of which it is the one that was."""

    verdict: Verdict
    features: Floats
    counts: float = 1.0


class Bin(NamedTuple):
    """Judgements of which much the same was predicted: how many, the mean that was, and the mean that came."""

    judgements: int
    predicted_01: float
    observed_01: float


@dataclass(frozen=True, slots=True)
class Check:
    """How predictions did on judgements that were not known when they were made.

    `error` and `rating_error`: mean squares, of the prediction and of the rating; `standard_error`: that of the
    difference. `bins`: lowest predictions first. `worse_on`: types of task on which ratings were surely better.
    """

    judgements: int
    error: float
    rating_error: float
    standard_error: float
    bins: Sequence[Bin]
    worse_on: frozenset[str] = frozenset()

    @property
    def is_better(self) -> bool:
        """Whether predictions were better than ratings."""
        return self.error < self.rating_error

    @property
    def is_surely_worse(self) -> bool:
        """Whether ratings were better by so much that it can hardly be chance."""
        return self.error - self.rating_error > SURELY * self.standard_error

    def as_json(self) -> JsonObject:
        return {
            "checked_on": self.judgements,
            "error": round(self.error, 5),
            "rating_error": round(self.rating_error, 5),
            "not_on": sorted(self.worse_on),
            "bins": [
                {
                    "judgements": one.judgements,
                    "predicted_01": round(one.predicted_01, 4),
                    "observed_01": round(one.observed_01, 4),
                }
                for one in self.bins
            ],
        }


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
    """What `judgements` judgements taught. `arms`: backends and ensembles, in the order of the fit's rows."""

    version: int
    judgements: int
    arms: Sequence[str]
    landmarks: Landmarks
    fit: Fit
    check: Check

    @property
    def boldness(self) -> float:
        """For which share of its uncertainty an expectation is explored: less, the more is known."""
        return BOLDNESS + FIRST_BOLDNESS * math.exp(-self.judgements / SETTLED)

    def expected(self, features: str, task_type: str) -> Mapping[str, Expected]:
        """Per arm; nothing for features of another release, or for a type of task of which ratings know more."""
        question = None if task_type in self.check.worse_on else unpacked(features)
        if question is None:
            return {}
        described = self.landmarks.describe(question[None])[0]
        means = np.clip(self.fit.predicted_01(described), 0.0, 1.0).tolist()
        reaches = (1.96 * NOISE * self.fit.uncertain_by(described)).tolist()
        return {arm: Expected(*one) for arm, one in zip(self.arms, zip(means, reaches, strict=True), strict=True)}

    def as_json(self) -> JsonObject:
        return {"judgements": self.judgements, "arms": list(self.arms), **self.check.as_json()}

    def __reduce__(self) -> "tuple[Callable[..., Predictor], tuple[object, ...]]":
        # Half as many digits are enough, and a quarter of the bytes; it goes to every replica.
        centres, weights, spread = (
            array.astype(np.float16) for array in (self.landmarks.centres, self.fit.weights, self.fit.spread)
        )
        return _restored, (self.version, self.judgements, tuple(self.arms), centres, weights, spread, self.check)


def _restored(
    version: int, judgements: int, arms: Sequence[str], centres: Floats, weights: Floats, spread: Floats, check: Check
) -> Predictor:
    fit = Fit(weights.astype(np.float64), spread.astype(np.float64))
    return Predictor(version, judgements, arms, Landmarks(centres.astype(np.float64)), fit, check)


def predictor(samples: Sequence[Sample], version: int, landmarks: Landmarks | None = None) -> Predictor | None:
    """What the samples teach, newest first as they come; `None` while there are too few.

    `landmarks`: those of an earlier predictor; without, they are found among the samples.
    """
    if len(samples) < LEAST:
        return None
    arms = sorted({sample.verdict.backend for sample in samples})
    features = np.array([sample.features for sample in samples])
    if landmarks is None:
        # The features go to other processes with fewer digits; there and here must be the same landmarks.
        landmarks = Landmarks(Landmarks.among(features).centres.astype(np.float16).astype(np.float64))
    described = landmarks.describe(features)
    fit = _fitted(samples, described, arms)
    return Predictor(version, len(samples), arms, landmarks, fit, _checked(samples, described, arms))


def _fitted(samples: Sequence[Sample], described: Floats, arms: Sequence[str]) -> Fit:
    place = {arm: row for row, arm in enumerate(arms)}
    judged = Judged(
        described,
        np.array([place[sample.verdict.backend] for sample in samples]),
        np.array([sample.verdict.reward_01 for sample in samples]),
        faded(np.arange(len(samples), dtype=np.float64), HALF_LIFE),
    )
    return fitted(judged, len(arms), OWN_PRIOR)


def _checked(samples: Sequence[Sample], described: Floats, arms: Sequence[str]) -> Check:
    """Predicts each block of samples but the oldest from those before it, by questions and by ratings.

    Where questions are sent to whom they suit, a rating is right of the questions that its backend gets. So samples
    count inversely to how probable they were, which makes the errors those on questions to anybody.
    Source: Horvitz and Thompson 1952, https://doi.org/10.1080/01621459.1952.10483446
    """
    ends = np.linspace(0, len(samples), BLOCKS + 1).astype(int)
    place = {arm: row for row, arm in enumerate(arms)}
    told, by_rating, came, counts, types = [], [], [], [], []
    for start, end in pairwise(ends[:-1]):
        fit = _fitted(samples[end:], described[end:], arms)
        ratings = rated(sample.verdict for sample in samples[end:])
        for sample, row in zip(samples[start:end], described[start:end], strict=True):
            verdict = sample.verdict
            told.append(min(1.0, max(0.0, float(fit.weights[place[verdict.backend]] @ row))))
            by_rating.append(rating_for(verdict.task_type, verdict.backend, ratings).quality_01)
            came.append(verdict.reward_01)
            counts.append(sample.counts)
            types.append(verdict.task_type)
    predicted, rating, observed = np.array(told), np.array(by_rating), np.array(came)
    weights, task_types = np.array(counts), np.array(types)
    share = weights / weights.sum()
    error, rating_error = (float(share @ (one - observed) ** 2) for one in (predicted, rating))
    gain = (rating - observed) ** 2 - (predicted - observed) ** 2
    on_type = {task_type: task_types == task_type for task_type in sorted(set(types))}
    gains = {task_type: _mean(gain[own], weights[own]) for task_type, own in on_type.items()}
    return Check(
        judgements=len(came),
        error=error,
        rating_error=rating_error,
        standard_error=_mean(gain, weights)[1],
        bins=_bins(predicted, observed),
        worse_on=frozenset(
            task_type
            for task_type, (mean, standard_error) in gains.items()
            if on_type[task_type].sum() >= LEAST_ON_TYPE and -mean > SURELY * standard_error
        ),
    )


def _mean(values: Floats, weights: Floats) -> tuple[float, float]:
    """The weighted mean and its standard error."""
    share = weights / weights.sum()
    mean = float(share @ values)
    return mean, float(np.sqrt((share**2) @ (values - mean) ** 2))


def _bins(predicted: Floats, observed: Floats) -> list[Bin]:
    parts = np.array_split(predicted.argsort(), BINS)
    return [Bin(len(part), float(predicted[part].mean()), float(observed[part].mean())) for part in parts]


class LatestPredictor:
    """The newest predictor, made anew whenever enough was judged since, and whether it is in use.

    It comes into use when it was better than ratings, and stays until it is surely worse: where both are about as good,
    each change would cost what the other had found out. `version` is a different one each time, also over a restart.
    """

    def __init__(self) -> None:
        self.newest: Predictor | None = None
        self.in_use: Predictor | None = None
        self.version = 0
        self._unseen = 0
        self._found_among = 0  # samples, when the landmarks were last found

    def note(self) -> None:
        """Takes note of a judgement."""
        self._unseen += 1

    @property
    def is_due(self) -> bool:
        """Whether it is worth while to look at the judgements again."""
        known = self.newest.judgements if self.newest else LEAST
        return self.version == 0 or self._unseen * NEW_SHARE >= known

    def renew(self, seen: Sequence[Seen], version: int) -> None:
        """Learns from the latest judgements on questions that were looked at, newest first, as far as they still hold.

        Typical questions are looked for whenever there are four times as many as the last time: where they move each
        time, what is expected moves with them.
        """
        self._unseen = 0
        samples = [
            Sample(one.verdict, features, min(MOST_COUNTS, 1.0 / one.propensity_01))
            for one in since_changes(seen)[0]
            if (features := unpacked(one.features)) is not None
        ]
        settled = self.newest if self.newest is not None and len(samples) < self._found_among * 4 else None
        self.newest = predictor(samples, version, settled.landmarks if settled else None)
        self.in_use = self.newest if self.newest is not None and self._holds(self.newest.check) else None
        self._found_among = self._found_among if settled else len(samples)
        self.version = version

    def _holds(self, check: Check) -> bool:
        return check.is_better if self.in_use is None else not check.is_surely_worse

    def as_json(self) -> JsonObject | None:
        """What `/api/optimizer` shows; `None` while there are too few judgements."""
        return None if self.newest is None else self.newest.as_json() | {"in_use": self.in_use is not None}
