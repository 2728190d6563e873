"""Which of the members' code is still to be tried on the question's examples, and what came of it?"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

from actors.ensembling.ballot import Ballot
from actors.ensembling.examples import checks_in, code_in, question_of, trial_of
from actors.protocol.trials import NotTried, Trial, TrialResult


class Proving:
    """The trials of one fan-out. `ballots` are the panel's, by seat; what code passes is noted on them.

    `given`: the examples, where they are not those that the request's own text shows.
    """

    def __init__(
        self, body: Mapping[str, Any], ballots: MutableMapping[int, Ballot], given: Sequence[str] = ()
    ) -> None:
        question = question_of(body.get("messages", ()))
        self._checks = given or checks_in(question)
        self._prelude = code_in(question)
        self._ballots = ballots
        self._trials: dict[int, Trial | None] = {}
        self._refusal: str | None = None

    @property
    def is_proved(self) -> bool:
        """Whether any code was tried."""
        return any(ballot.passed_01 is not None for ballot in self._ballots.values())

    @property
    def degradations(self) -> list[str]:
        """Why code was not tried that should have been."""
        return [] if self._refusal is None else [f"no code was run: {self._refusal}"]

    @property
    def notes(self) -> list[str]:
        """Why there was nothing to try."""
        if not self._checks:
            return ["the question gives no examples to run"]
        nothing = self._trials and not any(self._trials.values())
        return ["no answer holds code"] if nothing else []

    def due(self) -> list[Trial]:
        """The code that was answered and not tried yet, each once; nothing where none can be run."""
        if not self._checks or self._refusal is not None:
            return []
        for seat, ballot in self._ballots.items():
            if seat not in self._trials:
                self._trials[seat] = trial_of(ballot.text, self._prelude, self._checks)
        untried = (trial for seat, trial in self._trials.items() if self._ballots[seat].passed_01 is None)
        return list(dict.fromkeys(trial for trial in untried if trial is not None))

    def hear(self, results: Sequence[TrialResult]) -> None:
        """Records what came of the trials that were due, one result each."""
        due = self.due()
        came = dict(zip(due, results, strict=True))
        for seat, trial in self._trials.items():
            result = None if trial is None else came.get(trial)
            if isinstance(result, NotTried):
                self._refusal = result.reason
            elif result is not None:
                self._ballots[seat] = replace(self._ballots[seat], passed_01=result.passed / result.of)
