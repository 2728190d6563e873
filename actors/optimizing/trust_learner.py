"""What does feedback on merged answers teach about the members of one panel?"""

import math
from collections.abc import Mapping, Sequence

from actors.protocol.trust import NOBODY, Trust

EQUAL_WEIGHT = 1.0
DOUBT = 0.5
PRIOR_SPREAD = 4.0  # how firmly weights are held together: that many judgements' worth of evidence at even odds
PRIOR_LEVEL = 0.3  # how firmly all of them together, and the doubt, are held to where they start


class TrustLearner:
    """A conditional logit over the answers of a panel, learned one judgement at a time.

    The right answer is modelled as drawn with the odds exp(sum of the weights of those who gave it), against
    exp(doubt) for none of them. Weights are fitted together: members that make the same mistakes explain the same
    evidence and share one weight, and a member that is far ahead outweighs the others. Each judgement is one Newton
    step on the curvature gathered so far, beginning from a normal prior at equal weights. No weight is below 0.
    Sources: McFadden 1974; online Laplace approximation, Spiegelhalter and Lauritzen 1990,
    https://doi.org/10.1002/net.3230200507
    """

    def __init__(self, members: Sequence[str]) -> None:
        self._members = tuple(dict.fromkeys(members))
        n = len(self._members)
        self._estimate = [EQUAL_WEIGHT] * n + [DOUBT]
        apart, together = PRIOR_SPREAD, PRIOR_LEVEL
        self._curvature = [
            [apart * (row == column) + (together - apart) / n for column in range(n)] + [0.0] for row in range(n)
        ] + [[0.0] * n + [together]]
        self._judgements = 0

    @property
    def trust(self) -> Trust:
        """What is known so far."""
        weights = dict(zip(self._members, self._estimate, strict=False))
        return Trust(weights, self._estimate[-1], self._judgements)

    def admit(self, members: Sequence[str]) -> None:
        """Takes in members that are new to the panel, each with the mean weight of the others."""
        for member in dict.fromkeys(members):
            if member in self._members:
                continue
            *weights, doubt = self._estimate
            self._estimate = [*weights, sum(weights) / len(weights), doubt]
            self._members = (*self._members, member)
            place = len(weights)
            for row in self._curvature:
                row.insert(place, 0.0)
            self._curvature.insert(place, [0.0] * len(self._estimate))
            self._curvature[place][place] = PRIOR_SPREAD

    def learn(self, votes: Sequence[tuple[str, str | None]], possible: frozenset[str | None]) -> None:
        """Takes one judgement: the right answer is among `possible`; `NOBODY` in it: it may be none of those given.

        Votes of strangers are ignored. A judgement that says nothing about these votes teaches nothing.
        """
        beliefs = self.trust.beliefs([vote for vote in votes if vote[0] in self._members])
        likely = sum(beliefs[answer] for answer in beliefs if answer in possible)
        if len(beliefs) == 1 or likely <= 0.0 or possible >= beliefs.keys():
            return
        features = {answer: self._features(votes, answer) for answer in beliefs}
        posterior = {answer: beliefs[answer] / likely if answer in possible else 0.0 for answer in beliefs}
        expected = _mean(features, beliefs)
        gradient = [found - believed for found, believed in zip(_mean(features, posterior), expected, strict=True)]
        self._bend(features, beliefs, expected, gradient, is_exact=len(posterior.keys() & possible) == 1)
        at_least = [-weight for weight in self._estimate[:-1]] + [-math.inf]
        step = solved_above(self._curvature, gradient, at_least)
        self._estimate = [value + change for value, change in zip(self._estimate, step, strict=True)]
        self._judgements += 1

    def _features(self, votes: Sequence[tuple[str, str | None]], answer: str | None) -> list[float]:
        """How often each member gave that answer, and 1 in the last place for `NOBODY`."""
        if answer is NOBODY:
            return [0.0] * len(self._members) + [1.0]
        return [float(sum(vote == (member, answer) for vote in votes)) for member in self._members] + [0.0]

    def _bend(
        self,
        features: Mapping[str | None, Sequence[float]],
        beliefs: Mapping[str | None, float],
        expected: Sequence[float],
        gradient: Sequence[float],
        is_exact: bool,
    ) -> None:
        """Adds a judgement's curvature: the covariance of the features, or where it left several answers possible the
        square of the gradient, as the exact one need not be convex there."""
        for row, bent in enumerate(self._curvature):
            for column in range(len(bent)):
                bent[column] += (
                    sum(beliefs[answer] * one[row] * one[column] for answer, one in features.items())
                    - expected[row] * expected[column]
                    if is_exact
                    else gradient[row] * gradient[column]
                )


def solved_above(matrix: Sequence[Sequence[float]], right: Sequence[float], at_least: Sequence[float]) -> list[float]:
    """x of `matrix` · x = `right`, where none falls below its bound: those that would stay at it, and the others are
    solved for again, so that what one cannot do is not done to its companions either."""
    free = list(range(len(right)))
    found = list(at_least)
    while free:
        held = [place for place in range(len(right)) if place not in free]
        rest = [right[row] - sum(matrix[row][place] * found[place] for place in held) for row in free]
        values = solved([[matrix[row][column] for column in free] for row in free], rest)
        below = [place for place, value in zip(free, values, strict=True) if value < at_least[place]]
        if not below:
            for place, value in zip(free, values, strict=True):
                found[place] = value
            break
        free = [place for place in free if place not in below]
    return found


def solved(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """x of `matrix` · x = `right`, for a positive definite matrix, by Gaussian elimination."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    n = len(rows)
    for pivot in range(n):
        for row in range(pivot + 1, n):
            factor = rows[row][pivot] / rows[pivot][pivot]
            rows[row] = [value - factor * above for value, above in zip(rows[row], rows[pivot], strict=True)]
    found = [0.0] * n
    for place in reversed(range(n)):
        known = sum(rows[place][later] * found[later] for later in range(place + 1, n))
        found[place] = (rows[place][n] - known) / rows[place][place]
    return found


def _mean(features: Mapping[str | None, Sequence[float]], weights: Mapping[str | None, float]) -> list[float]:
    size = len(next(iter(features.values())))
    return [sum(weights[answer] * one[place] for answer, one in features.items()) for place in range(size)]
