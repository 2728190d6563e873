"""How does the rest of the company have many answers made into one?"""

from collections.abc import Mapping, Sequence
from typing import Any

from actors.ensembling.agreement import Similarity, token_overlap
from actors.ensembling.ballot import Ballot, Reading, ballot_of
from actors.ensembling.extraction import final_answer
from actors.ensembling.merges import BY_PANEL, MERGES
from actors.ensembling.panel import Done, Failed, Panel, PanelRules
from actors.protocol.errors import ConfigError
from actors.protocol.messages import Answer, Outcome
from actors.protocol.trust import Trust


class MultiModelEnsembler:
    """Merges the answers of several models. `merge` names a strategy of `BY_PANEL`; raises `ConfigError` for another.

    A live request opens a `panel` and reports outcomes to it as they come; `merge` does the same with outcomes that
    are all there, so that evaluation and service share one code path. Holds no state between requests.
    """

    def __init__(
        self, merge: str = "weighted_consensus", similar: Similarity = token_overlap, reading: Reading = final_answer
    ) -> None:
        if merge not in BY_PANEL:
            raise ConfigError(f"There is no merge '{merge}'. Available: {', '.join(MERGES)}.", param="merge")
        self.strategy = merge
        self._similar = similar
        self._reading = reading

    def ballot(self, answer: Answer, prior_weight: float = 1.0) -> Ballot:
        """How a merge sees this answer: final answer, flaws, certainty."""
        return ballot_of(answer, prior_weight=prior_weight)

    def panel(
        self,
        asked: Sequence[str],
        body: Mapping[str, Any],
        weights: Mapping[str, float] | None = None,
        quorum: int | None = None,
        judged: bool = False,
        judge_logprobs: bool = False,
        trust: Trust | None = None,
        stage: int | None = None,
        min_confidence_01: float = 0.0,
        drop: Sequence[str] = (),
        verified: bool = False,
        checks: Sequence[str] = (),
    ) -> Panel:
        """A new fan-out to the members `asked`, for the request `body`; see `PanelRules` for the rest."""
        rules = PanelRules(
            self.strategy,
            weights or {},
            quorum,
            judged,
            judge_logprobs,
            trust,
            stage,
            min_confidence_01,
            drop,
            verified,
            checks,
        )
        return Panel(asked, rules, body, self._similar, self._reading)

    def merge(
        self,
        outcomes: Sequence[Outcome],
        weights: Mapping[str, float] | None = None,
        body: Mapping[str, Any] | None = None,
        quorum: int | None = None,
        trust: Trust | None = None,
    ) -> Done | Failed:
        """The merged answer of members that have all been heard, without a judge. Raises `ValueError` for none."""
        if not outcomes:
            raise ValueError("A merge needs at least one outcome.")
        panel = self.panel([outcome.backend for outcome in outcomes], body or {}, weights, quorum, trust=trust)
        for outcome in outcomes:
            panel.hear(outcome)
        ended = panel.step()
        if not isinstance(ended, Done | Failed):
            raise AssertionError("A panel that has heard everybody has ended.")
        return ended
