"""Does learned routing beat the best single model, on questions that it has not seen?

python -m benchmarks.routing DATA/llmrouter_14tasks.jsonl.gz --orders 20 --png docs/routing.png
python -m benchmarks.routing DATA/routellm_mmlu.jsonl.gz

DATA holds JSON lines with id, prompt, model and score (or correct). With full information the scores of all models on a
random half are learned from and the other half is scored; with bandit feedback the gateway's own strategy `learned` is
played, and sees nothing but the score of the model that it chose. For two models, also how much of the stronger one's
lead is recovered at which share of calls.
"""

import argparse
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from actors.optimizing.quality_learner import Judged, Landmarks, fitted
from actors.optimizing.question_features import Floats
from benchmarks.recorded import RecordedGateway, Scores, load

WINDOW = 500
SETTLED = 1_000
NEIGHBOURS = 50
CLUSTERS = 32

Predictor = Callable[[Floats, Floats, Floats], Floats]
"""Features and scores of the questions to learn from, features of those to predict; a column of scores per model."""


def tf_idf(prompts: Sequence[str], places: int = 4096) -> Floats:
    """Words, hashed, as unit vectors of term frequency times inverse document frequency."""
    rows = np.zeros((len(prompts), places), np.float32)
    for row, prompt in zip(rows, prompts, strict=True):
        for word in prompt.lower().split():
            row[int.from_bytes(word.encode()[:12], "little") * 2_654_435_761 % (2**61 - 1) % places] += 1.0
    rows *= np.log(len(prompts) / np.maximum(1, (rows > 0).sum(0)))
    return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9), np.float64)


def learned(known: Floats, scores_01: Floats, asked: Floats) -> Floats:
    landmarks = Landmarks.among(known)
    n, arms = scores_01.shape
    rows = np.repeat(landmarks.describe(known), arms, axis=0)
    judged = Judged(rows, np.tile(np.arange(arms), n), scores_01.ravel(), np.ones(n * arms))
    return np.asarray(landmarks.describe(asked) @ fitted(judged, arms).weights.T)


def nearest(known: Floats, scores_01: Floats, asked: Floats) -> Floats:
    likeness = asked @ known.T
    return np.asarray(scores_01[np.argpartition(-likeness, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]].mean(1))


def clustered(known: Floats, scores_01: Floats, asked: Floats) -> Floats:
    centres = Landmarks.among(known, count=CLUSTERS).centres

    def cluster(rows: Floats) -> Floats:
        return np.asarray(((centres**2).sum(1)[None] - 2 * rows @ centres.T).argmin(1))

    own = cluster(known)
    means = [scores_01[own == k].mean(0) if (own == k).any() else scores_01.mean(0) for k in range(len(centres))]
    return np.asarray(np.array(means)[cluster(asked)])


def full_information(data: Scores, orders: int) -> dict[str, list[float]]:
    """Per way and order: the mean score on the unseen half, less that of the best single model in hindsight."""
    ways: Mapping[str, tuple[Predictor, Floats]] = {
        "learned": (learned, data.features),
        "kNN over TF-IDF": (nearest, tf_idf(data.prompts)),
        "k-means": (clustered, data.features),
    }
    found: dict[str, list[float]] = {}
    for seed in range(orders):
        order = np.random.default_rng(seed).permutation(len(data.scores_01))
        known, asked = np.split(order, [len(order) // 2])
        scores_01 = data.scores_01[asked]
        best = scores_01.mean(0).max()
        for name, (predict, rows) in ways.items():
            choice = predict(rows[known], data.scores_01[known], rows[asked]).argmax(1)
            found.setdefault(name, []).append(float(scores_01[np.arange(len(asked)), choice].mean() - best))
            if name == "learned":  # the same share of questions to each model, but by chance
                shares = np.bincount(choice, minlength=len(data.models)) / len(choice)
                found.setdefault("random at equal cost", []).append(float(scores_01.mean(0) @ shares - best))
        found.setdefault("oracle", []).append(float(scores_01.max(1).mean() - best))
    return found


@dataclass(frozen=True, slots=True)
class Played:
    """A row per order, a column per question. `gained`: the chosen model's score less that of the best single model;
    `right`: whether no other model's score was higher; `overall`: whether the model that is best over all questions at
    that time was chosen (1 or 0)."""

    gained: Floats
    right: Floats
    overall: Floats


def bandit(data: Scores, seeds: Sequence[int], swap_at: int | None = None) -> Played:
    """One random order per seed. `swap_at`: from that question on, the best and the weakest model answer for each
    other."""
    best, worst = data.scores_01.mean(0).argmax(), data.scores_01.mean(0).argmin()
    gained, right, overall = np.empty((3, len(seeds), len(data.scores_01)))
    for row, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        gateway = RecordedGateway(data.models, random.Random(seed))
        for place, question in enumerate(rng.permutation(len(data.scores_01)).tolist()):
            scores_01, top = data.scores_01[question], best
            if swap_at is not None and place >= swap_at:
                top = worst
                scores_01 = scores_01.copy()
                scores_01[[best, worst]] = scores_01[[worst, best]]
            arm = gateway.choose(data.task_types[question], data.packed[question])
            gateway.judge(arm, float(scores_01[arm]))
            gained[row, place] = scores_01[arm] - data.scores_01[question, best]
            right[row, place] = scores_01[arm] == scores_01.max()
            overall[row, place] = arm == top
    return Played(gained, right, overall)


def recovery(right: Floats, swap_at: int, window: int = 100) -> tuple[float, int | None]:
    """The share of right choices over the `WINDOW` questions before the swap, and after how many questions the mean of
    the last `window` is back at 90 % of it; None if never. `right`: a row per order."""
    share = right.mean(0)
    former = float(share[swap_at - WINDOW : swap_at].mean())
    after = np.convolve(share[swap_at:], np.full(window, 1 / window), "valid")
    back = np.flatnonzero(after >= 0.9 * former)
    return former, int(back[0]) + window if len(back) else None


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """Of a ranking of questions by need for the stronger of two models. `apgr`: the mean share of its lead that is
    recovered, over all shares of calls; `cpt_50`, `cpt_80`: which share of calls recovers 50 % and 80 %.

    Source: Ong et al. 2024, https://arxiv.org/abs/2406.18665
    """

    apgr: float
    cpt_50: float
    cpt_80: float


def tradeoff(need: Floats, weak_01: Floats, strong_01: Floats) -> Tradeoff:
    """`need`: higher goes to the strong model first."""
    lead = (strong_01 - weak_01)[np.argsort(-need, kind="stable")]
    recovered = np.concatenate([[0.0], np.cumsum(lead) / lead.sum()])
    shares = np.linspace(0.0, 1.0, len(recovered))
    cpt_50, cpt_80 = (float(shares[np.argmax(recovered >= level)]) for level in (0.5, 0.8))
    return Tradeoff(float(np.trapezoid(recovered, shares)), cpt_50, cpt_80)


def tradeoffs(data: Scores, orders: int) -> dict[str, list[Tradeoff]]:
    """Per way and order, on the half that was not learned from."""
    weak, strong = np.argsort(data.scores_01.mean(0))
    features, length = data.features, np.array([float(len(prompt)) for prompt in data.prompts])
    found: dict[str, list[Tradeoff]] = {}
    for seed in range(orders):
        rng = np.random.default_rng(seed)
        known, asked = np.split(rng.permutation(len(data.scores_01)), [len(data.scores_01) // 2])
        predicted = learned(features[known], data.scores_01[known], features[asked])
        ways = {
            "learned": predicted[:, strong] - predicted[:, weak],
            "prompt length": length[asked],
            "random": rng.random(len(asked)),
        }
        for name, need in ways.items():
            ends = data.scores_01[asked, weak], data.scores_01[asked, strong]
            found.setdefault(name, []).append(tradeoff(need, *ends))
    return found


def interval(values: Sequence[float] | Floats) -> str:
    """Mean and 95 % interval over orders, in points."""
    points = 100 * np.asarray(values)
    reach = 1.96 * points.std(ddof=1) / np.sqrt(len(points)) if len(points) > 1 else np.nan
    return f"{points.mean():+.2f} ± {reach:.2f}"


def plot(gained: Floats, path: Path) -> None:
    from matplotlib.figure import Figure

    regret = -np.cumsum(gained, axis=1)
    mean, reach = regret.mean(0), 1.96 * regret.std(0) / np.sqrt(len(regret))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(np.arange(len(mean)), mean - reach, mean + reach, alpha=0.3)
    axes.plot(mean)
    axes.axhline(0.0, color="k", linewidth=0.5)
    axes.set(xlabel="questions", ylabel="regret against the best single model", title="bandit feedback alone")
    figure.savefig(path, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0, help="of the orders under bandit feedback")
    parser.add_argument("--png", type=Path)
    parser.add_argument("--swap-at", type=int, help="only drift: the best and the weakest model swap at this question")
    given = parser.parse_args()
    data = load(given.data)
    console = Console(width=100)
    if len(data.models) == 2:
        table = Table("way", "APGR", "CPT(50 %)", "CPT(80 %)", title=f"{len(data.prompts)} questions, unseen half")
        for name, found in tradeoffs(data, given.orders).items():
            means = (np.mean([getattr(one, key) for one in found]) for key in ("apgr", "cpt_50", "cpt_80"))
            table.add_row(name, *(f"{mean:.3f}" for mean in means))
        console.print(table)
        return
    seeds = range(given.first_seed, given.first_seed + given.orders)
    if given.swap_at is not None:
        played = bandit(data, seeds, given.swap_at)
        for reading, hits in (("no model did better", played.right), ("the best model overall", played.overall)):
            former, questions = recovery(hits, given.swap_at)
            back = "never" if questions is None else f"after {questions} questions"
            console.print(
                f"drift: right choices ({reading}): {100 * former:.0f} % before the swap; 90 % of that {back}"
            )
        return
    table = Table("way", "points above the best single model", title="full information, unseen half")
    for name, gains in full_information(data, given.orders).items():
        table.add_row(name, interval(gains))
    console.print(table)
    gained = bandit(data, seeds).gained
    windows = np.convolve(gained.mean(0), np.full(WINDOW, 1 / WINDOW), "valid")[SETTLED:]
    quarter = gained[:, -len(data.prompts) // 4 :].mean(1)
    console.print(f"bandit feedback: {interval(quarter)} in the last quarter; worst window {100 * windows.min():+.2f}")
    is_shown = quarter.mean() > 1.96 * quarter.std(ddof=1) / np.sqrt(len(quarter))
    verdict = "beats" if is_shown else "is NOT shown to beat"
    console.print(f"The policy learned from bandit feedback {verdict} the best single model.")
    if given.png:
        plot(gained, given.png)


if __name__ == "__main__":
    main()
