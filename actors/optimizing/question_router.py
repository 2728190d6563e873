"""Which model should answer this question, after all that was judged so far?"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from actors.optimizing.change_detection import ChangeDetector
from actors.optimizing.quality_learner import Judged, Landmarks, faded, fitted
from actors.optimizing.question_features import SIZE, Floats
from actors.protocol.ratings import EXPLORE_SHARE_01, propensities

KEPT: Final = 10_000
FIRST_LANDMARKS: Final = 128  # judgements; found anew whenever there are four times as many
REFIT_EVERY: Final = 50  # judgements, or 1 % of them
HALF_LIFE: Final = 10_000.0  # judgements after which evidence counts half


class QuestionRouter:
    """Learns from one judgement at a time, about the model that was asked or about several.

    It is a function of what it was told: the same judgements in the same order give the same router, so that nothing
    but the judgements needs to be kept. For one thread.
    """

    def __init__(self, arms: Sequence[str], explore_share_01: float = EXPLORE_SHARE_01) -> None:
        self.arms = tuple(arms)
        self.changes: list[tuple[int, str]] = []
        self.judgements = 0
        self._explore_share_01 = explore_share_01
        self._features = np.empty((0, SIZE))
        self._arm = np.empty(0, np.int_)
        self._reward_01 = np.empty(0)
        self._waiting: list[tuple[Floats, int, float]] = []
        self._detectors = [ChangeDetector() for _ in self.arms]
        self._landmarks: Landmarks | None = None
        self._next_landmarks = FIRST_LANDMARKS
        self._weights: Floats | None = None

    def predicted_01(self, features: Floats) -> Floats:
        """The expected reward of each arm; all alike before anything was learned."""
        if self._weights is None:
            return np.full(len(self.arms), 0.5)
        return np.asarray(self._weights @ self._described(features[None])[0])

    def propensities(self, features: Floats) -> Floats:
        """With which probability each arm should be asked; they sum to 1."""
        if self._weights is None:
            explored = self._explore_share_01 * np.full(len(self.arms), 1.0 / len(self.arms))
            explored[0] += 1.0 - self._explore_share_01
            return np.asarray(explored)
        predicted_01 = self.predicted_01(features).tolist()
        return np.array(propensities(predicted_01, self.judgements, self._explore_share_01))

    def learn(self, features: Floats, arm: int, reward_01: float) -> None:
        """Takes a judgement. What was known of an arm that has changed is forgotten."""
        self.judgements += 1
        surprise = reward_01 - float(self.predicted_01(features)[arm]) if self._weights is not None else 0.0
        self._waiting.append((features, arm, reward_01))
        if (age := self._detectors[arm].changed_since(surprise)) is not None:
            self._forget(arm, age)
        if len(self._waiting) >= max(REFIT_EVERY, self.judgements // 100):
            self._refit()

    def _refit(self) -> None:
        self._take_in()
        if self.judgements >= self._next_landmarks:
            self._landmarks = Landmarks.among(self._features)
            self._next_landmarks *= 4
        ages = np.arange(len(self._arm), 0.0, -1.0)
        judged = Judged(self._described(self._features), self._arm, self._reward_01, faded(ages, HALF_LIFE))
        self._weights = fitted(judged, len(self.arms))

    def _take_in(self) -> None:
        if not self._waiting:
            return
        features, arms, rewards_01 = zip(*self._waiting, strict=True)
        self._features = np.vstack([self._features, *features])[-KEPT:]
        self._arm = np.concatenate([self._arm, arms])[-KEPT:]
        self._reward_01 = np.concatenate([self._reward_01, rewards_01])[-KEPT:]
        self._waiting.clear()

    def _forget(self, arm: int, keep: int) -> None:
        """Drops all but the last `keep` judgements of an arm, and fits anew at once."""
        self._take_in()
        own = np.flatnonzero(self._arm == arm)
        self._features = np.delete(self._features, own[:-keep], 0)
        self._reward_01 = np.delete(self._reward_01, own[:-keep])
        self._arm = np.delete(self._arm, own[:-keep])
        self.changes.append((self.judgements, self.arms[arm]))
        self._refit()

    def _described(self, features: Floats) -> Floats:
        return np.ones((len(features), 1)) if self._landmarks is None else self._landmarks.describe(features)
