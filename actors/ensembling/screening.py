"""Which answers look wrong beside the question and the others, and which are left out?"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from actors.ensembling.ballot import Ballot
from actors.ensembling.examples import holds_code, question_of
from actors.ensembling.flaws import Flaw, script_of

COPY_CHARS = 200  # shorter answers, and code, may well be the same word for word


class Screening:
    """The view over one fan-out's ballots. `drop`: flaws whose ballots are left out while there are others.
    `copies_count`: a text that several members give word for word counts as often."""

    def __init__(self, body: Mapping[str, Any], drop: Collection[str] = (), copies_count: bool = False) -> None:
        self._asked_in = script_of(question_of(body.get("messages", ())))
        self._drop = frozenset(drop)
        self._copies_count = copies_count
        self._scripts: dict[int, str | None] = {}
        self._said: dict[int, str] = {}

    def note(self, ballot: Ballot) -> None:
        """Looks at a ballot that has just come."""
        if self._asked_in is not None:
            self._scripts[ballot.seat] = script_of(ballot.text)
        if not self._copies_count and len(ballot.text) >= COPY_CHARS and not holds_code(ballot.text):
            self._said[ballot.seat] = " ".join(ballot.text.casefold().split())

    def is_in_dispute(self, ballots: Sequence[Ballot]) -> bool:
        """Whether further answers can still change who looks wrong: the ballots are in several languages."""
        return len({self._scripts.get(ballot.seat) for ballot in ballots} - {None}) > 1

    def screened(self, ballots: Sequence[Ballot]) -> list[Ballot]:
        """The ballots with the flaws that show beside the others, without those that are to be dropped."""
        flawed = [self._beside(ballot, ballots) for ballot in ballots]
        kept = [ballot for ballot in flawed if self._drop.isdisjoint(ballot.flaws)]
        return kept or flawed

    def _beside(self, ballot: Ballot, ballots: Sequence[Ballot]) -> Ballot:
        found: list[Flaw] = []
        if self._is_off_language(ballot, ballots):
            found.append("off_language")
        if self._is_copy(ballot, ballots):
            found.append("copy")
        return replace(ballot, flaws=(*ballot.flaws, *found)) if found else ballot

    def _is_off_language(self, ballot: Ballot, ballots: Sequence[Ballot]) -> bool:
        """Whether it is in another script than the question, and most answers are not: where most are, as with a
        translation, that is what was asked for."""
        script = self._scripts.get(ballot.seat)
        if script is None or script == self._asked_in:
            return False
        like_it = sum(self._scripts.get(other.seat) == script for other in ballots)
        return 2 * like_it <= len(ballots)

    def _is_copy(self, ballot: Ballot, ballots: Sequence[Ballot]) -> bool:
        """Whether another member says so long a text word for word. Of equal ones the one with most weight is none, so
        that a further copy never takes from what stands behind a text."""
        said = self._said.get(ballot.seat)
        if said is None:
            return False
        rank = (ballot.prior_weight, -ballot.seat)
        return any(
            self._said.get(other.seat) == said
            and other.backend != ballot.backend
            and (other.prior_weight, -other.seat) > rank
            for other in ballots
        )
