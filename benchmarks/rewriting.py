"""What do the ways of putting a question gain on real models, and does what is learned hold on other questions?

    troupe serve -c benchmarks/rewriting.yaml &                                    # three small local models
    python -m benchmarks.rewriting /tmp/replies.jsonl --url http://127.0.0.1:8471   # asks; can be stopped and resumed
    python -m benchmarks.rewriting /tmp/replies.jsonl                              # the tables alone

A hundred checkable questions, and 70 more to learn from, are put to each model in each way that is meant for them.
Then, with the learner and the rule of the gateway: what the 70 and one half of the hundred teach decides how the other
half is asked, and the other way round, so that each question is judged by what others taught.
"""

import argparse
import json
import random
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from actors.config.file import load_config
from actors.config.patterns import patterns_of
from actors.config.settings import Config
from actors.edge.http_client import GatewayClient
from actors.evaluating.statistics import Interval, paired_bootstrap
from actors.optimizing.pattern_learner import gains
from actors.optimizing.tasks.detector import TaskDetector
from actors.protocol.errors import LLMError
from actors.protocol.patterns import PLAIN, Gains, Trial
from actors.rewriting.choosing import is_safe
from actors.rewriting.patterns import Pattern
from benchmarks.checkable import Checkable, more_questions, questions

CONFIG = Path(__file__).with_suffix(".yaml")
MAX_TOKENS = 256
LEARNING_SEED = 1
HALVES = 20  # random ways to halve the questions

console = Console(stderr=True, width=None if sys.stderr.isatty() else 120)

Answers = Mapping[tuple[str, str, str], str]
"""By backend, question and pattern."""


@dataclass(frozen=True, slots=True)
class Way:
    """One backend asked one question in one way."""

    backend: str
    question: Checkable
    task_type: str
    pattern: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.backend, self.question.name, self.pattern


def ways(asked: Sequence[Checkable], backends: Iterable[str], patterns: Mapping[str, Pattern]) -> Iterator[Way]:
    """Every way that is meant for each question, question by question."""
    detect = TaskDetector.trained().detect
    for question in asked:
        task_type = detect(question.text).task_type
        meant = [name for name, one in patterns.items() if one.is_meant_for(task_type, len(question.text), MAX_TOKENS)]
        for pattern in (PLAIN, *meant):
            for backend in backends:
                yield Way(backend, question, task_type, pattern)


def read(path: Path) -> dict[tuple[str, str, str], str]:
    """The answers that are there already."""
    rows = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
    return {(row["backend"], row["question"], row["pattern"]): row["text"] for row in rows}


def ask(url: str, missing: Sequence[Way], path: Path, at_once: int) -> None:
    """Asks a running gateway what is missing, and writes each answer as it comes."""
    writing = threading.Lock()
    with GatewayClient(url) as gateway, Progress(console=console) as progress, path.open("a") as file:
        bar = progress.add_task("asking", total=len(missing))

        def one(way: Way) -> None:
            body = {
                "model": way.backend,
                "messages": [{"role": "user", "content": way.question.text}],
                "temperature": 0,
                "max_tokens": MAX_TOKENS,
                "troupe": {"pattern": way.pattern},
            }
            try:
                reply = gateway.post("/v1/chat/completions", body)
            except LLMError as error:
                console.print(f"{way.key}: {error}")
                return
            if reply["troupe"]["optimizer"]["pattern"] != way.pattern:
                raise LLMError(f"The gateway asked {way.key} in another way.")
            row = dict(zip(("backend", "question", "pattern"), way.key, strict=True))
            with writing:
                file.write(json.dumps(row | {"text": reply["choices"][0]["message"]["content"] or ""}) + "\n")
                file.flush()
                progress.advance(bar)

        with ThreadPoolExecutor(at_once) as threads:
            for _ in threads.map(one, missing):
                pass


def rewards(all_ways: Sequence[Way], answers: Answers) -> dict[Way, float]:
    """Right is 1, wrong 0."""
    return {way: float(way.question.is_right(answers[way.key])) for way in all_ways if way.key in answers}


def learned(rewarded: Mapping[Way, float], names: frozenset[str]) -> Gains:
    """What comparisons on the questions of these names teach."""
    plain = {(way.backend, way.question.name): reward for way, reward in rewarded.items() if way.pattern == PLAIN}
    return gains(
        Trial(way.backend, way.task_type, way.pattern, reward, plain[way.backend, way.question.name])
        for way, reward in rewarded.items()
        if way.pattern != PLAIN and way.question.name in names and (way.backend, way.question.name) in plain
    )


def chosen(found: Gains, way: Way, meant: Iterable[str], delta: float) -> str:
    """The pattern that `live` would use most, as the gateway's rule has it."""
    known = found.get(way.backend, {}).get(way.task_type, {})
    safe = [name for name in meant if name in known and is_safe(known[name], delta) and known[name].gain > 0.0]
    return max(safe, key=lambda name: known[name].gain, default=PLAIN)


def held_out(
    rewarded: Mapping[Way, float], more: frozenset[str], delta: float, rng: random.Random
) -> dict[Way, list[tuple[str, float]]]:
    """For each plain way the pattern that other questions led to, and what it gained, once per halving.

    Questions of the names in `more` are only learned from.
    """
    meant: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for way, reward in rewarded.items():
        meant[way.backend, way.question.name][way.pattern] = reward
    names = sorted({way.question.name for way in rewarded} - more)
    found: dict[Way, list[tuple[str, float]]] = defaultdict(list)
    for _ in range(HALVES):
        rng.shuffle(names)
        halves = frozenset(names[: len(names) // 2]), frozenset(names[len(names) // 2 :])
        for taught, judged in (halves, halves[::-1]):
            lessons = learned(rewarded, taught | more)
            for way, reward in rewarded.items():
                if way.pattern == PLAIN and way.question.name in judged:
                    by_pattern = meant[way.backend, way.question.name]
                    pattern = chosen(lessons, way, by_pattern, delta)
                    found[way].append((pattern, by_pattern[pattern] - reward))
    return found


def gain_of(rows: Mapping[Way, float]) -> Interval:
    """The mean gain over questions, with a bootstrap interval over them: models answer the same ones."""
    by_question: dict[str, list[float]] = defaultdict(list)
    for way, gain in rows.items():
        by_question[way.question.name].append(gain)
    return paired_bootstrap([fmean(gained) for gained in by_question.values()], random.Random(0))


def tables(rewarded: Mapping[Way, float], more: frozenset[str], delta: float) -> list[Table]:
    """What each pattern gains by itself, and what the learned choice gains on questions that it was not taught by."""
    plain = {
        (way.backend, way.question.name): (way, reward) for way, reward in rewarded.items() if way.pattern == PLAIN
    }
    alone = Table("type of task", "backend", "pattern", "questions", "plain", "with it", "gain")
    groups: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for way, reward in rewarded.items():
        if way.pattern != PLAIN and (way.backend, way.question.name) in plain:
            groups[way.task_type, way.backend, way.pattern].append((reward, plain[way.backend, way.question.name][1]))
    for names, pairs in sorted(groups.items()):
        with_it, without = (fmean(one) for one in zip(*pairs, strict=True))
        alone.add_row(*names, str(len(pairs)), f"{without:.2f}", f"{with_it:.2f}", f"{with_it - without:+.2f}")

    outcome = held_out(rewarded, more, delta, random.Random(0))
    mean_gain = {way: fmean(gain for _, gain in found) for way, found in outcome.items()}
    chosen_ways = Table("held out", "questions", "plain", "learned", "gain", "95 %", "not plain")
    for title, member in (("all", None), *((name, name) for name in sorted({way.task_type for way in mean_gain}))):
        rows = {way: gain for way, gain in mean_gain.items() if member in (None, way.task_type)}
        _add_row(chosen_ways, title, rows, rewarded, outcome)
    for backend in sorted({way.backend for way in mean_gain}):
        rows = {way: gain for way, gain in mean_gain.items() if way.backend == backend}
        _add_row(chosen_ways, backend, rows, rewarded, outcome)
    return [alone, chosen_ways]


def _add_row(
    table: Table,
    title: str,
    rows: Mapping[Way, float],
    rewarded: Mapping[Way, float],
    outcome: Mapping[Way, Sequence[tuple[str, float]]],
) -> None:
    interval = gain_of(rows)
    plain = fmean(rewarded[way] for way in rows)
    other = fmean(pattern != PLAIN for way in rows for pattern, _ in outcome[way])
    n = len({way.question.name for way in rows})
    bounds = f"{interval.low:+.3f} to {interval.high:+.3f}"
    table.add_row(
        title, str(n), f"{plain:.3f}", f"{plain + interval.mean:.3f}", f"{interval.mean:+.3f}", bounds, f"{other:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("replies", type=Path, help="JSON lines: the answers that are there, and those that come")
    parser.add_argument("--url", help="a running gateway; without it nothing is asked")
    parser.add_argument("--only", help="ask this backend alone")
    parser.add_argument("--at-once", type=int, default=6)
    arguments = parser.parse_args()
    config: Config = load_config(CONFIG)
    patterns = patterns_of(config.optimizer.patterns)
    more = more_questions(LEARNING_SEED)
    all_ways = list(ways([*questions(), *more], config.backends, patterns))
    if arguments.url:
        there = read(arguments.replies)
        missing = [way for way in all_ways if way.key not in there and arguments.only in (None, way.backend)]
        ask(arguments.url, missing, arguments.replies, arguments.at_once)
    rewarded = rewards(all_ways, read(arguments.replies))
    console.print(f"{len(rewarded)} of {len(all_ways)} answers")
    if rewarded:
        Console(width=120).print(
            *tables(rewarded, frozenset(one.name for one in more), config.optimizer.rewrite_delta_01), sep="\n"
        )


if __name__ == "__main__":
    main()
