"""Best of n, where code is tried on the question's examples: with the real sandbox."""

import asyncio
from typing import Any

import pytest

from actors.protocol.trials import NotTried, Trial, TrialResult, Tried
from actors.routing.table import ModelRecord
from actors.sandbox.sandbox import Sandbox
from tests.shells.test_orchestrator import Theatre

QUESTION = {"messages": [{"role": "user", "content": "Write double(n).\n\n>>> double(2)\n4\n>>> double('a')\n'aa'"}]}
WRONG = "```python\ndef double(n):\n    return n + 2\n```"
RIGHT = "```python\ndef double(n):\n    return n + n\n```"


class Recorded:
    """A verifier that gives one result and remembers the trials."""

    def __init__(self, result: TrialResult, takes_s: float = 0.0) -> None:
        self.result = result
        self.takes_s = takes_s
        self.trials: list[Trial] = []

    async def try_out(self, trial: Trial) -> TrialResult:
        self.trials.append(trial)
        await asyncio.sleep(self.takes_s)
        return self.result


def best(**changes: Any) -> ModelRecord:
    given = {"members": ("a", "b"), "merge": "best_of_n", "verifier": "tests", "quorum": 2, **changes}
    return ModelRecord("best", "ensemble", **given)


def scripts(**texts: str) -> dict[str, dict[str, Any]]:
    return {name: {"reply": {"text": text, "logprob_mean": -0.5}} for name, text in texts.items()}


async def test_the_code_that_passes_the_examples_is_given() -> None:
    sandbox = Sandbox()
    if reason := await sandbox.unavailable_because():
        pytest.skip(reason)
    theatre = Theatre(scripts(a=WRONG, b=RIGHT), best(), verifier=sandbox)

    body = await theatre.ask("best", body=QUESTION)

    assert body["choices"][0]["message"]["content"] == RIGHT
    assert body["troupe"]["ensemble"]["reasons"] == []


async def test_without_a_place_to_run_it_the_best_is_given_degraded() -> None:
    theatre = Theatre(scripts(a=WRONG, b=RIGHT), best(), verifier=Recorded(NotTried("no walls")))

    told = (await theatre.ask("best", body=QUESTION))["troupe"]["ensemble"]

    assert (told["winner"], told["degraded"], told["reasons"]) == ("a", True, ["no code was run: no walls"])


async def test_no_code_is_run_unless_the_model_says_so() -> None:
    verifier = Recorded(Tried(1, 1))
    theatre = Theatre(scripts(a=WRONG, b=RIGHT), best(verifier=None), verifier=verifier)

    await theatre.ask("best", body=QUESTION)

    assert verifier.trials == []


async def test_a_verifier_that_takes_too_long_does_not_hold_up_the_answer() -> None:
    theatre = Theatre(scripts(a=WRONG, b=RIGHT), best(deadline_s=0.05), verifier=Recorded(Tried(2, 2), takes_s=30.0))

    told = (await theatre.ask("best", body=QUESTION))["troupe"]["ensemble"]

    assert told["reasons"] == ["no code was run: no time was left for it"]
