"""How does a comparison go, from the first contestant to the last round?"""

import sys
from dataclasses import dataclass
from pathlib import Path

from actors.benching.cases import Effort
from actors.benching.contestants import Launch
from actors.benching.plans import Plan
from actors.benching.results import Row
from actors.benching.run import FAILURES_BORNE, Failed, Watcher, measured
from actors.benching.target import Target
from actors.benching.upstream import MODEL


@dataclass(frozen=True)
class Instant:
    """The upstream under another name."""

    name: str
    peer: bool = False
    merges: bool = False

    def prepare(self) -> str:
        return "1"

    def launch(self, upstream_url: str, port: int, folder: Path) -> Launch:
        command = [sys.executable, "-m", "actors.benching.upstream", "--port", str(port)]
        return Launch(command, Target(f"http://127.0.0.1:{port}/v1/chat/completions", MODEL))


class Broken(Instant):
    """One that ends as soon as it is started."""

    def launch(self, upstream_url: str, port: int, folder: Path) -> Launch:
        return Launch(["sh", "-c", "echo no licence; exit 3"], Target(f"http://127.0.0.1:{port}/v1/x", MODEL))


class Listener(Watcher):
    def __init__(self) -> None:
        self.begun: list[tuple[str, int]] = []

    def begins(self, what: str, of: int) -> None:
        self.begun.append((what, of))


def test_rounds_rotate_and_a_broken_contestant_does_not_stop_the_others() -> None:
    contestants = [Instant("a"), Broken("b")]
    rounds = FAILURES_BORNE + 1
    plan = Plan(["a", "b"], ["cold-start", "ensemble"], rounds, Effort())
    listener = Listener()

    outcomes = list(measured(plan, contestants, "http://127.0.0.1:1/v1", listener))

    failures = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    rows = [outcome for outcome in outcomes if isinstance(outcome, Row)]
    assert [row.round for row in rows] == [1, 2, 3]
    assert all(row.figures["first_answer_s"] > 0 for row in rows)
    assert [failed.contestant for failed in failures] == ["b"] * FAILURES_BORNE
    assert "ended with status 3: no licence" in failures[0].reason
    assert [what.rpartition(" ")[2] for what, _ in listener.begun] == ["a", "b", "b", "a", "a", "b"]
    assert {of for _, of in listener.begun} == {2 * rounds}
