"""Which type of task does a question set, and how sure is that?"""

from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actors.optimizing.tasks.ngrams import ngrams
from actors.protocol.tasks import TASK_TYPES, UNGUESSED, UNKNOWN_TASK, TaskGuess

WEIGHTS_FILE: Final = "weights.npz"
SURE_PERMILLE: Final = 400


class TaskDetector:
    """A linear model over runs of letters, one for all languages; `weights`: a row per place, a column per type.

    Multinomial logistic regression over hashed n-grams, as fastText without its hidden layer: Joulin et al. 2017,
    https://aclanthology.org/E17-2068/
    """

    def __init__(self, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        self._weights = weights
        self._bias = bias

    @classmethod
    def trained(cls) -> "TaskDetector":
        """The one that comes with the package."""
        with (resources.files(__package__) / WEIGHTS_FILE).open("rb") as file, np.load(file) as stored:
            return cls(stored["weights"] * stored["scale"], stored["bias"])

    def detect(self, question: str) -> TaskGuess:
        """The likeliest type; `unknown` where none has a probability of 0.4, and for an empty question."""
        if not question or question.isspace():
            return UNGUESSED
        chances = self.chances(question)
        permille = tuple((chances * 1000 + 0.5).astype(int).tolist())
        highest = max(permille)
        return TaskGuess(TASK_TYPES[permille.index(highest)] if highest >= SURE_PERMILLE else UNKNOWN_TASK, permille)

    def chances(self, question: str) -> NDArray[np.float32]:
        """A probability per type: softmax of the mean weight of its n-grams."""
        places, counts = ngrams(question)
        scores = counts @ self._weights.take(places, 0) + self._bias
        odds = np.exp(scores - scores.max())
        return np.asarray(odds / odds.sum())
