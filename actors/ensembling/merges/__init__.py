"""Which answer wins? One file per merge strategy, and the registry of them."""

from collections.abc import Callable, Mapping

from actors.ensembling.agreement import Similarity
from actors.ensembling.merges.best_of_n import BestOfN
from actors.ensembling.merges.cascade import Cascade
from actors.ensembling.merges.majority_vote import MajorityVote
from actors.ensembling.merges.protocol import MergeStrategy
from actors.ensembling.merges.self_consistency import SelfConsistency
from actors.ensembling.merges.synthesize import Synthesize
from actors.ensembling.merges.weighted_consensus import WeightedConsensus

MERGES: Mapping[str, Callable[[Similarity], MergeStrategy]] = {
    "weighted_consensus": WeightedConsensus,
    "majority_vote": MajorityVote,
    "best_of_n": BestOfN,
    "synthesize": Synthesize,
    "self_consistency": SelfConsistency,
}
"""Every merge strategy by its name in the config; each is built around a measure of likeness."""

BY_PANEL: Mapping[str, Callable[[Similarity], MergeStrategy]] = {**MERGES, "cascade": Cascade}
"""Those, and what a strategy brings along that is not chosen by `merge`."""
