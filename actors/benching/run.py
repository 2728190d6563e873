"""How does a comparison go, from the first contestant to the last round?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from actors.benching.cases import CASES, Effort
from actors.benching.contestants import Absent, Contestant
from actors.benching.load import need_wrk, wrk_version
from actors.benching.machine import machine
from actors.benching.plans import CONTESTANTS, Plan
from actors.benching.results import BASELINE, Row, rotated
from actors.benching.running import Running
from actors.protocol.errors import LLMError

FAILURES_BORNE = 2  # after so many a contestant takes no further part


@dataclass(frozen=True, slots=True)
class Failed:
    """A measurement that came to nothing."""

    contestant: str
    case: str
    round: int
    reason: str


@dataclass(slots=True)
class Findings:
    """What came of a plan, also when it was ended early. `absent`: contestant -> why it did not take part."""

    machine: Mapping[str, object]
    versions: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    failures: list[Failed] = field(default_factory=list)
    interrupted: bool = False


class Watcher:
    """Is told how far it is; this one does not listen."""

    def says(self, line: str) -> None:
        """Something that a person should know."""

    def begins(self, what: str, of: int) -> None:
        """The next of so many measurements begins."""


def run(plan: Plan, watcher: Watcher) -> Findings:
    """Carries the plan out. Ctrl-C ends it early, with what it has; nothing that was started outlives it.

    Raises `LLMError` when the load generator is missing or the instant upstream does not start.
    """
    need_wrk()
    findings = Findings(machine(), {"ray": version("ray"), "wrk": wrk_version()})
    try:
        present = list(prepared(plan.contestants, findings, watcher))
        with Running(CONTESTANTS[BASELINE], "") as upstream:
            for outcome in measured(plan, present, upstream.target.base_url, watcher):
                if isinstance(outcome, Row):
                    findings.rows.append(outcome)
                else:
                    findings.failures.append(outcome)
                    watcher.says(f"{outcome.contestant} failed in {outcome.case}: {outcome.reason}")
    except KeyboardInterrupt:
        findings.interrupted = True
    return findings


def prepared(names: Sequence[str], findings: Findings, watcher: Watcher) -> Iterator[Contestant]:
    """Those that can take part; their versions, or why they cannot, are put into the findings."""
    for name in names:
        contestant = CONTESTANTS[name]
        if contestant.peer:
            watcher.says(f"{name}: looking for it, or fetching it, which may take minutes")
        try:
            findings.versions[name] = contestant.prepare()
        except Absent as reason:
            findings.absent[name] = str(reason)
            watcher.says(f"{name} takes no part: {reason}")
        else:
            yield contestant


def measured(
    plan: Plan, contestants: Sequence[Contestant], upstream_url: str, watcher: Watcher
) -> Iterator[Row | Failed]:
    """Case by case, the rounds of each one after another, and in each round one contestant after another.

    Those that are compared directly are thereby measured within a minute or two. Each is started for its measurement
    and has ended before the next one starts, since an idle Ray alone takes a tenth of a core and more.
    """
    total = sum(plan.rounds * len(_suited(case, contestants)) for case in plan.cases)
    failures = dict.fromkeys(plan.contestants, 0)
    for case in plan.cases:
        for number in range(1, plan.rounds + 1):
            for contestant in rotated(_suited(case, contestants), number - 1):
                watcher.begins(f"{case}, round {number}: {contestant.name}", total)
                if failures[contestant.name] >= FAILURES_BORNE:
                    continue
                outcome = _measured_once(contestant, case, number, upstream_url, plan.effort)
                failures[contestant.name] += isinstance(outcome, Failed)
                yield outcome


def _measured_once(contestant: Contestant, case: str, number: int, upstream_url: str, effort: Effort) -> Row | Failed:
    try:
        with Running(contestant, upstream_url) as running:
            found = CASES[case].measure(running, effort)
    except LLMError as error:
        return Failed(contestant.name, case, number, str(error))
    return Row(contestant.name, case, number, found.figures, found.errors)


def _suited(case: str, contestants: Sequence[Contestant]) -> list[Contestant]:
    return [contestant for contestant in contestants if CASES[case].suits(contestant)]
