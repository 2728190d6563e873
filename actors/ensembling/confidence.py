"""How sure may a caller be of a merged answer?"""

from collections.abc import Sequence

from actors.ensembling.ballot import Ballot

PASSED_01 = 0.9  # of 693 recorded programs that pass the examples of their question, 623 pass its hidden tests, too
FAILED_01 = 0.01  # and 2 of 1,124 of the others (HumanEval, development half)


def confidence_01(
    winner: Ballot, shares: Sequence[float], support_01: float, n_different: int, agreement_counts: bool
) -> float | None:
    """How likely the merged answer is right, 0..1; `None` when nothing speaks for or against it.

    The witnesses are averaged, each with its number of voices:
    - the vote, when there were several answers and `agreement_counts`: (n·support + 1) / (n + k + 1), one voice per
      answer. n is the effective number of answers, 1 / Σ share², so that a vote in which one member holds all the
      weight is worth one answer; k is `n_different`, the number of different answers, and 1 stands for the answers
      that nobody gave. Source: additive smoothing, https://en.wikipedia.org/wiki/Additive_smoothing; Kish's effective
      sample size, https://en.wikipedia.org/wiki/Effective_sample_size
    - the winner's own certainty, exp(mean logprob), one voice;
    - the judge's score of it, one voice.
    Where code was tried, what came of it outweighs them all: `PASSED_01` or `FAILED_01` is the answer.
    A flawed winner (truncated, empty) keeps its `quality_01` of the result. The number is not calibrated: it orders
    answers of one panel, and it becomes a probability only by what feedback teaches.

    `shares`: one per ballot, sums to 1.
    """
    if winner.passed_01 is not None:
        return (PASSED_01 if winner.passed_01 == 1.0 else FAILED_01) * winner.quality_01
    witnesses: list[tuple[float, float]] = []
    if len(shares) > 1 and agreement_counts:
        effective_n = 1.0 / sum(share * share for share in shares)
        witnesses.append(((effective_n * support_01 + 1.0) / (effective_n + n_different + 1.0), effective_n))
    witnesses.extend((score, 1.0) for score in (winner.certainty_01, winner.judge_score_01) if score is not None)
    if not witnesses:
        return None
    mean = sum(score * voices for score, voices in witnesses) / sum(voices for _, voices in witnesses)
    return min(1.0, max(0.0, mean * winner.quality_01))
