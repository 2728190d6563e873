"""How does the output of one model become the input of the next: a draft, its criticism, the final answer?"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from actors.ensembling.fusion import critique, revision
from actors.orchestrating.scene import Scene
from actors.protocol.messages import Answer, EnsembleReport, Failure, JsonObject, Outcome
from actors.routing.table import ModelRecord

Ask = Callable[[str, JsonObject], Awaitable[Outcome]]
"""Asks the member of that name that request."""


@dataclass(slots=True)
class Relay:
    """One pipeline under way. The first member drafts, each further pair criticises and revises; one that is left
    over revises without a critic. A member that fails is passed over: the draft stands as it is."""

    model: ModelRecord
    scene: Scene
    ask: Ask
    answered: int = 0
    failures: list[Failure] = field(default_factory=list)

    async def run(self) -> Outcome:
        """The last draft; the failure of the first member where nobody drafted."""
        drafters = iter(self.model.members)
        draft = await self._first_draft(drafters)
        rest = list(drafters)
        while draft is not None and rest:
            critic, rest = (rest[0], rest[1:]) if len(rest) > 1 else (None, rest)
            objections = None if critic is None else await self._heard(critic, critique(self.scene.body, draft.text))
            said = None if objections is None else objections.text
            better = await self._heard(rest[0], revision(self.scene.body, draft.text, said))
            draft, rest = better or draft, rest[1:]
        self.scene.report = self._report(draft)
        return self.failures[0] if draft is None else draft

    async def _first_draft(self, members: Iterator[str]) -> Answer | None:
        for name in members:
            if (draft := await self._heard(name, self.scene.body)) is not None:
                return draft
        return None

    async def _heard(self, name: str, body: JsonObject) -> Answer | None:
        outcome = await self.ask(name, body)
        if isinstance(outcome, Failure):
            self.failures.append(outcome)
            return None
        self.answered += 1
        return outcome

    def _report(self, final: Answer | None) -> EnsembleReport:
        n = len(self.model.members)
        return EnsembleReport(
            asked=n,
            answered=self.answered,
            quorum=n,
            merge="pipeline",
            model=self.model.name,
            winner=None if final is None else final.backend,
            confidence_01=None,
            support_01=None,
            decided_early=False,
            degraded=bool(self.failures),
            failures=self.failures,
            reasons=[f"'{failure.backend}' failed: {failure.code}" for failure in self.failures],
        )
