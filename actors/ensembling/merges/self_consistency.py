"""Which answer does one model give most often when it is asked again and again?"""

from actors.ensembling.merges.majority_vote import MajorityVote

SAMPLING_TEMPERATURE = 0.7
"""How samples are made to differ where the caller set no temperature. Source: https://arxiv.org/abs/2203.11171"""


class SelfConsistency(MajorityVote):
    """A vote among samples of one model, each asked at a temperature at which they differ."""
