"""Which model should answer this question, after all that was judged so far?"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from actors.optimizing.change_detection import ChangeDetector
from actors.optimizing.quality_learner import Fit, Judged, Landmarks, faded, fitted
from actors.optimizing.question_features import SIZE, Floats
from actors.optimizing.sampling import chances_of_being_best, limited

KEPT: Final = 10_000
FIRST_LANDMARKS: Final = 64  # judgements; found anew whenever there are four times as many
REFIT_EVERY: Final = 50  # judgements, or 1 % of them; more often at the beginning
HALF_LIFE: Final = 10_000.0  # judgements after which evidence counts half
OWN_PRIOR: Final = 20.0
NOISE: Final = 0.42  # standard deviation of a reward about its expectation
BOLDNESS: Final = 0.35  # how much of the uncertainty is explored in the long run, and how much more of it at first
FIRST_BOLDNESS: Final = 0.45
SETTLED: Final = 1_000.0  # judgements in which that falls by a factor e
WATCHED: Final = 300  # an arm that was asked less than every tenth time of so many may have changed unseen,
DOUBTED: Final = 10.0  # and when another has changed, what is known of it counts as so many judgements


class QuestionRouter:
    """Learns from one judgement at a time, about the model that was asked or about several.

    Thompson sampling: each arm is asked as often as it may be the best, on questions like this. It is a function of
    what it was told: the same judgements in the same order give the same router, so that nothing but the judgements
    needs to be kept. For one thread.
    """

    def __init__(self, arms: Sequence[str], explore_share_01: float = 1.0) -> None:
        self.arms = tuple(arms)
        self.changes: list[tuple[int, str]] = []
        self.judgements = 0
        self._calm_since = 0
        self._explore_share_01 = explore_share_01
        self._features = np.empty((0, SIZE))
        self._arm = np.empty(0, np.int_)
        self._reward_01 = np.empty(0)
        self._doubt_01 = np.empty(0)
        self._waiting: list[tuple[Floats, int, float]] = []
        self._detectors = [ChangeDetector() for _ in self.arms]
        self._landmarks: Landmarks | None = None
        self._next_landmarks = FIRST_LANDMARKS
        self._fit: Fit | None = None

    def predicted_01(self, features: Floats) -> Floats:
        """The expected reward of each arm; all alike before anything was learned."""
        if self._fit is None:
            return np.full(len(self.arms), 0.5)
        return self._fit.predicted_01(self._described(features[None])[0])

    def propensities(self, features: Floats) -> Floats:
        """With which probability each arm should be asked; they sum to 1."""
        if self._fit is None:
            return limited(np.full(len(self.arms), 1.0 / len(self.arms)), 0, self._explore_share_01)
        described = self._described(features[None])[0]
        predicted_01 = self._fit.predicted_01(described)
        boldness = BOLDNESS + FIRST_BOLDNESS * np.exp((self._calm_since - self.judgements) / SETTLED)
        chances = chances_of_being_best(predicted_01, boldness * NOISE * self._fit.uncertain_by(described))
        return limited(chances, int(predicted_01.argmax()), self._explore_share_01)

    def learn(self, features: Floats, arm: int, reward_01: float) -> None:
        """Takes a judgement. What was known of an arm that has changed is forgotten."""
        self.judgements += 1
        surprise = reward_01 - float(self.predicted_01(features)[arm]) if self._fit is not None else 0.0
        self._waiting.append((features, arm, reward_01))
        if (age := self._detectors[arm].changed_since(surprise)) is not None:
            self._forget(arm, age)
        if len(self._waiting) >= min(1 + self.judgements // 8, max(REFIT_EVERY, self.judgements // 100)):
            self._refit()

    def _refit(self) -> None:
        self._take_in()
        if self.judgements >= self._next_landmarks:
            self._landmarks = Landmarks.among(self._features)
            self._next_landmarks *= 4
        ages = np.arange(len(self._arm), 0.0, -1.0)
        weight_01 = self._doubt_01 * faded(ages, HALF_LIFE)
        judged = Judged(self._described(self._features), self._arm, self._reward_01, weight_01)
        self._fit = fitted(judged, len(self.arms), OWN_PRIOR)

    def _take_in(self) -> None:
        if not self._waiting:
            return
        features, arms, rewards_01 = zip(*self._waiting, strict=True)
        self._features = np.vstack([self._features, *features])[-KEPT:]
        self._arm = np.concatenate([self._arm, arms])[-KEPT:]
        self._reward_01 = np.concatenate([self._reward_01, rewards_01])[-KEPT:]
        self._doubt_01 = np.concatenate([self._doubt_01, np.ones(len(arms))])[-KEPT:]
        self._waiting.clear()

    def _forget(self, arm: int, keep: int) -> None:
        """Drops all but the last `keep` judgements of an arm, doubts what was not watched, and fits anew at once."""
        self._take_in()
        stale = np.flatnonzero(self._arm == arm)[:-keep]
        self._features = np.delete(self._features, stale, 0)
        self._arm = np.delete(self._arm, stale)
        self._reward_01 = np.delete(self._reward_01, stale)
        self._doubt_01 = np.delete(self._doubt_01, stale)
        watched = np.bincount(self._arm[-WATCHED:], minlength=len(self.arms)) * 10 >= WATCHED
        for other in np.flatnonzero(~watched):
            own = self._arm == other
            if other != arm and (known := self._doubt_01[own].sum()) > DOUBTED:
                self._doubt_01[own] *= DOUBTED / known
        self._calm_since = self.judgements
        self.changes.append((self.judgements, self.arms[arm]))
        self._refit()

    def _described(self, features: Floats) -> Floats:
        return np.ones((len(features), 1)) if self._landmarks is None else self._landmarks.describe(features)
