"""How good will each model's answer to this question be?"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actors.optimizing.question_features import Floats, task_shares

LANDMARKS: Final = 64
WIDTH: Final = 0.3  # of the kernel: exp(-WIDTH * squared distance)
ROUNDS: Final = 8
SHARED_PRIOR: Final = 1.0  # judgements' worth of belief that questions are alike, in each direction
OWN_PRIOR: Final = 5.0  # the same for a model being like the others
LEVEL_PRIOR: Final = 2.0  # the same for a model's mean quality being that of all


class Landmarks:
    """Typical questions, found in the traffic itself without knowing how they were answered.

    A question is described by how near it is to each (Gaussian kernel, Nyström's approximation), so that what is
    linear in the description is curved in the features. Source: Williams and Seeger 2001,
    https://proceedings.neurips.cc/paper/2000/hash/19de10adbaa1b2ee13f77f679fa1483a-Abstract.html
    """

    def __init__(self, centres: Floats) -> None:
        self.centres = centres
        values, vectors = np.linalg.eigh(_nearness(centres, centres))
        self._whitening = vectors / np.sqrt(np.maximum(values, 0.0) + 1e-3)

    @classmethod
    def among(cls, features: Floats, seed: int = 0, count: int = LANDMARKS) -> "Landmarks":
        """The centres of k-means clusters of questions, one row each; fewer where there are fewer questions."""
        rng = np.random.default_rng(seed)
        centres = features[rng.choice(len(features), min(count, len(features)), replace=False)]
        for _ in range(ROUNDS):
            nearest = _distances(features, centres).argmin(1)
            centres = np.array(
                [features[nearest == k].mean(0) if (nearest == k).any() else old for k, old in enumerate(centres)]
            )
        return cls(centres)

    def describe(self, features: Floats) -> Floats:
        """One row per question: 1, its probable types of task, and its place among the landmarks."""
        near = _nearness(features, self.centres) @ self._whitening
        return np.hstack([level_and_tasks(features), near])


def level_and_tasks(features: Floats) -> Floats:
    """One row per question: 1, then its probable types of task."""
    return np.hstack([np.ones((len(features), 1)), task_shares(features)])


@dataclass(frozen=True, slots=True)
class Judged:
    """What is learned from. `described`: a row per question; `arm`: which model answered; `reward_01`: how good that
    was; `weight_01`: how much it still counts. A question that several models answered comes once for each."""

    described: Floats
    arm: NDArray[np.int_]
    reward_01: Floats
    weight_01: Floats


@dataclass(frozen=True, slots=True)
class Fit:
    """`weights`: a row per arm; times a described question they predict the reward. `spread`: a matrix per arm; how
    uncertain its row is, as a covariance for rewards of variance 1."""

    weights: Floats
    spread: Floats

    def predicted_01(self, described: Floats) -> Floats:
        """The expected reward of each arm on one described question."""
        return np.asarray(self.weights @ described)

    def uncertain_by(self, described: Floats) -> Floats:
        """The standard deviation of each arm's expected reward, for rewards of variance 1."""
        return np.asarray(np.sqrt(np.maximum(0.0, np.einsum("i,aij,j->a", described, self.spread, described))))


def fitted(judged: Judged, arms: int, own_prior: float = OWN_PRIOR) -> Fit:
    """Ridge regression in two layers: how hard the question is for all, then how each arm differs.

    So what one arm shows of a question serves the others, and an arm of which little is known is taken to be like them.
    `own_prior`: how firmly, in judgements, an arm is held to be like the others on every kind of question.
    """
    size = judged.described.shape[1]
    mean = float(np.average(judged.reward_01, weights=judged.weight_01))
    left = judged.reward_01 - mean
    counts = np.bincount(judged.arm, judged.weight_01, arms)
    shared_prior = np.full(size, SHARED_PRIOR)
    shared, hard = np.zeros(size), np.zeros(len(left))
    for _ in range(2):
        levels = np.bincount(judged.arm, judged.weight_01 * (left - hard), arms) / (counts + LEVEL_PRIOR)
        shared = _ridge(judged.described, left - levels[judged.arm], judged.weight_01, shared_prior)[0]
        hard = judged.described @ shared
    weights, spread = np.tile(shared, (arms, 1)), np.empty((arms, size, size))
    weights[:, 0] += mean
    prior = np.full(size, own_prior)
    prior[0] = LEVEL_PRIOR
    for arm in range(arms):
        own = judged.arm == arm
        differs, spread[arm] = _ridge(judged.described[own], (left - hard)[own], judged.weight_01[own], prior)
        weights[arm] += differs
    return Fit(weights, spread)


def faded(ages: Floats, half_life: float) -> Floats:
    """How much evidence still counts, 0..1, of an age in judgements."""
    return np.asarray(0.5 ** (ages / half_life))


def _ridge(rows: Floats, values: Floats, weight_01: Floats, prior: Floats) -> tuple[Floats, Floats]:
    """The coefficients, and their covariance for values of variance 1."""
    weighted = rows.T * weight_01
    spread = np.linalg.inv(weighted @ rows + np.diag(prior))
    return np.asarray(spread @ (weighted @ values)), np.asarray(spread)


def _distances(rows: Floats, centres: Floats) -> Floats:
    """Squared, one row per row of `rows`, one column per centre."""
    return np.asarray((rows**2).sum(1)[:, None] + (centres**2).sum(1)[None] - 2 * rows @ centres.T)


def _nearness(rows: Floats, centres: Floats) -> Floats:
    return np.asarray(np.exp(-WIDTH * _distances(rows, centres)))
