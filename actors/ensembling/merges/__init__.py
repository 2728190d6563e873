"""Which answer wins? One file per merge strategy, and the registry of them."""

from collections.abc import Callable, Mapping

from actors.ensembling.agreement import Similarity
from actors.ensembling.merges.best_of_n import BestOfN
from actors.ensembling.merges.majority_vote import MajorityVote
from actors.ensembling.merges.protocol import MergeStrategy
from actors.ensembling.merges.weighted_consensus import WeightedConsensus

MERGES: Mapping[str, Callable[[Similarity], MergeStrategy]] = {
    "weighted_consensus": WeightedConsensus,
    "majority_vote": MajorityVote,
    "best_of_n": BestOfN,
}
"""Every merge strategy by its name in the config; each is built around a measure of likeness."""
