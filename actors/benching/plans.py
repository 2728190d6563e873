"""Who is to be compared, in which cases, how often and for how long?"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from actors.benching.cases import CASES, QUICK_CASES, Effort
from actors.benching.contestants import BareReplica, Contestant, PlainUvicorn, Troupe, Upstream
from actors.benching.peers import LiteLlm, Portkey
from actors.benching.results import BASELINE
from actors.protocol.errors import LLMError

CONTESTANTS: Mapping[str, Contestant] = {
    one.name: one
    for one in (
        Upstream(BASELINE),
        Troupe(),
        Troupe("troupe-2", replicas=2),
        BareReplica(),
        PlainUvicorn(),
        LiteLlm(),
        Portkey(),
    )
}
QUICK_CONTESTANTS = (BASELINE, "troupe", "bare-replica")
QUICK_EFFORT = Effort(seconds=1, warm_up=100, chunks=40, idle_s=1.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """Names of `CONTESTANTS` and of `CASES`, each in the order in which they are shown."""

    contestants: Sequence[str]
    cases: Sequence[str]
    rounds: int = 3
    effort: Effort = field(default_factory=Effort)

    def only(self, contestants: Collection[str] | None, cases: Collection[str] | None) -> "Plan":
        """The same with these contestants and these cases instead, where any are given.

        Raises `LLMError` when there is none of that name.
        """
        return replace(
            self,
            contestants=_chosen("contestant", contestants, CONTESTANTS) or self.contestants,
            cases=_chosen("case", cases, CASES) or self.cases,
        )


def full_plan(peers: bool = True, rounds: int = 3, seconds: int = 5) -> Plan:
    """Everybody in all cases, with so many seconds of load in each measurement."""
    contestants = [name for name, contestant in CONTESTANTS.items() if peers or not contestant.peer]
    return Plan(contestants, list(CASES), rounds, Effort(seconds=seconds))


def quick_plan() -> Plan:
    """Enough to see that it works: no peers, one short round."""
    return Plan(QUICK_CONTESTANTS, QUICK_CASES, 1, QUICK_EFFORT)


def _chosen(kind: str, names: Collection[str] | None, among: Iterable[str]) -> list[str]:
    for name in names or ():
        if name not in among:
            raise LLMError(f"There is no {kind} {name!r}; there are: {', '.join(among)}.")
    return [name for name in among if name in (names or ())]
