"""How much does each backend's word count, for each type of task?"""

from collections.abc import Mapping, Sequence
from typing import Protocol


class WeightPolicy(Protocol):
    """Decides the weights; higher means more trusted."""

    def weights_for(self, task_type: str, backends: Sequence[str]) -> Mapping[str, float]:
        """One weight per backend, at least 0; they sum to 1. Empty without backends."""
        ...


class EqualWeights:
    """Trusts every backend the same, whatever the task."""

    def weights_for(self, task_type: str, backends: Sequence[str]) -> Mapping[str, float]:
        return equal_weights(backends)


def equal_weights(backends: Sequence[str]) -> Mapping[str, float]:
    """The same weight for each distinct backend, in their order; they sum to 1. Empty without backends."""
    distinct = dict.fromkeys(backends)
    return {backend: 1.0 / len(distinct) for backend in distinct}
