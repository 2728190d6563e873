"""Which answers say the same?"""

from collections.abc import Callable, Sequence

from actors.ensembling.ballot import Ballot

Similarity = Callable[[str, str], float]
"""How alike two texts are, 0..1, symmetric. Token overlap here; embeddings fit the same shape."""

SAME_TEXT_01 = 0.6
"""Token overlap from which two free texts count as one answer."""

_WITHOUT_PUNCTUATION = str.maketrans(dict.fromkeys(".,;:!?\"'`*_#()[]{}<>", " "))


def token_overlap(one: str, other: str) -> float:
    """The share of words that two texts have in common, 0..1, without case and punctuation.

    Source: Jaccard index, https://en.wikipedia.org/wiki/Jaccard_index
    """
    words, others = _words(one), _words(other)
    return len(words & others) / len(words | others) if words or others else 1.0


def clusters(ballots: Sequence[Ballot], similar: Similarity, threshold_01: float = SAME_TEXT_01) -> list[list[int]]:
    """Groups of ballots that say the same, as indices into `ballots`; every ballot is in one group.

    Equal final answers form a group. Ballots without one are grouped by their texts, linked in chains (a ~ b and b ~ c
    puts a and c together), so that a further ballot can unite groups but never split one.
    """
    stated = {ballot.final_answer for ballot in ballots}
    if len(stated) == 1 and None not in stated:  # the usual case
        return [list(range(len(ballots)))]
    answers: dict[str, list[int]] = {}
    texts: list[list[int]] = []
    for place, ballot in enumerate(ballots):
        if ballot.final_answer is not None:
            answers.setdefault(ballot.final_answer, []).append(place)
            continue
        linked, apart = [place], []
        for group in texts:
            if any(_same(ballots[member].text, ballot.text, similar, threshold_01) for member in group):
                linked = group + linked
            else:
                apart.append(group)
        texts = [*apart, linked]
    return sorted((sorted(group) for group in (*answers.values(), *texts)), key=lambda group: group[0])


def _same(one: str, other: str, similar: Similarity, threshold_01: float) -> bool:
    return one == other or similar(one, other) >= threshold_01


def _words(text: str) -> frozenset[str]:
    return frozenset(text.casefold().translate(_WITHOUT_PUNCTUATION).split())
