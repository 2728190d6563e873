"""How often is each arm tried, so that something is learned and little is lost?"""

from typing import Final

import numpy as np

from actors.optimizing.question_features import Floats

EXPLORE_SHARE_01: Final = 0.3
TRUST_IN_GAPS: Final = 50.0


def propensities(predicted_01: Floats, judgements: int, explore_share_01: float = EXPLORE_SHARE_01) -> Floats:
    """With which probability each arm is chosen; they sum to 1, and can be logged as they are.

    The best arm gets what the others leave; each of those gets less the worse it is predicted to be, and the more
    judgements stand behind that. Together they never get more than `explore_share_01`; 0 chooses the best arm always.
    Source: inverse gap weighting, Foster and Rakhlin 2020, https://arxiv.org/abs/2002.04926
    """
    best = int(np.argmax(predicted_01))
    gaps = predicted_01[best] - predicted_01
    chances = 1.0 / (len(predicted_01) + TRUST_IN_GAPS * np.sqrt(max(1, judgements)) * gaps)
    chances[best] = 0.0
    explored = float(chances.sum())
    if explored > explore_share_01:
        chances *= explore_share_01 / explored
    chances[best] = 1.0 - chances.sum()
    return np.asarray(chances)
