"""Which type of task does a question set, and how sure is that?"""

from functools import lru_cache
from importlib import resources
from math import exp
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actors.optimizing.tasks.ngrams import looked_at, ngrams
from actors.protocol.tasks import TASK_TYPES, UNGUESSED, UNKNOWN_TASK, TaskGuess

WEIGHTS_FILE: Final = "weights.npz"
SURE_PERMILLE: Final = 400
REMEMBERED: Final = 1024


class TaskDetector:
    """A linear model over runs of letters, one for all languages; `weights`: a row per place, a column per type.

    Multinomial logistic regression over hashed n-grams, as fastText without its hidden layer: Joulin et al. 2017,
    https://aclanthology.org/E17-2068/
    """

    def __init__(self, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        self._weights = weights
        self._bias = bias
        self._guess = lru_cache(maxsize=REMEMBERED)(self._guessed)

    @classmethod
    def trained(cls) -> "TaskDetector":
        """The one that comes with the package."""
        with (resources.files(__package__) / WEIGHTS_FILE).open("rb") as file, np.load(file) as stored:
            return cls(stored["weights"] * stored["scale"], stored["bias"])

    def detect(self, question: str) -> TaskGuess:
        """The likeliest type; `unknown` where none has a probability of 0.4, and for an empty question.

        A question that came lately is remembered: an agent asks with the same one at each of its steps.
        """
        if not question or question.isspace():
            return UNGUESSED
        return self._guess(looked_at(question))

    def _guessed(self, question: str) -> TaskGuess:
        places, counts = ngrams(question)
        scores: list[float] = (counts @ self._weights.take(places, 0) + self._bias).tolist()
        highest = max(scores)
        odds = [exp(score - highest) for score in scores]
        share = 1000.0 / sum(odds)
        permille = tuple([round(one * share) for one in odds])
        likeliest = max(permille)
        task_type = TASK_TYPES[permille.index(likeliest)] if likeliest >= SURE_PERMILLE else UNKNOWN_TASK
        return TaskGuess(task_type, permille)
