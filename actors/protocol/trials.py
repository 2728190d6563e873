"""What is asked of a place where code is run, and what does it say?"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Trial:
    """Code of a model, and what it has to stand.

    `prelude` is run first, whatever comes of it: the code that the question itself holds. `programs`: the ways to read
    the code out of the reply, best first; the first one that compiles is run. `checks`: Python statements, each of
    which raises unless the code does what it should.
    """

    prelude: str = field(repr=False)
    programs: tuple[str, ...] = field(repr=False)
    checks: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tried:
    """The code was run: so many of the checks it passed. `of` is at least 1."""

    passed: int
    of: int


@dataclass(frozen=True, slots=True)
class NotTried:
    """The code was not run. `reason` is fit for the caller."""

    reason: str


TrialResult = Tried | NotTried


class Verifier(Protocol):
    """A place where code of strangers can be run without harm."""

    async def try_out(self, trial: Trial) -> TrialResult:
        """What came of it. Never runs code where it could do harm: it says `NotTried` then."""
        ...
