"""Which recorded code passes the examples of its question?"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from actors.ensembling.examples import checks_in, code_in, question_of, trial_of
from actors.evaluating.recorded import Question
from actors.protocol.errors import ConfigError
from actors.protocol.messages import JsonObject
from actors.protocol.trials import NotTried, Trial, TrialResult, Verifier

Proofs = Mapping[Trial, TrialResult]


def body_of(question: Question) -> JsonObject:
    """The question as a caller of the gateway would ask it."""
    return {"messages": [{"role": "user", "content": question.prompt}]}


def trials_of(questions: Sequence[Question]) -> list[Trial]:
    """Every trial that playing any panel can ask for, each once: on the file's visible tests, or else those of the
    prompt."""
    found: dict[Trial, None] = {}
    for question in questions:
        asked = question_of(body_of(question)["messages"])
        checks, prelude = question.visible_tests or checks_in(asked), code_in(asked)
        for reply in question.replies.values():
            trial = trial_of(reply.text, prelude, checks) if checks else None
            if trial is not None:
                found[trial] = None
    return list(found)


async def prove(
    trials: Sequence[Trial], verifier: Verifier, on_tried: Callable[[], None] = lambda: None
) -> dict[Trial, TrialResult]:
    """What came of each trial. Raises `ConfigError` where code cannot be run here."""

    async def one(trial: Trial) -> TrialResult:
        result = await verifier.try_out(trial)
        if isinstance(result, NotTried):
            raise ConfigError(f"Code cannot be run here: {result.reason}.")
        on_tried()
        return result

    return dict(zip(trials, await asyncio.gather(*map(one, trials)), strict=True))
