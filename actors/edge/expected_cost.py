"""What is a request likely to cost, before anybody is asked? Rather too much than too little."""

from collections.abc import Iterable
from typing import Final

from actors.protocol.messages import DecisionRecord, JsonObject
from actors.routing.table import BackendRecord, ModelRecord, RoutingTable
from actors.tracing.tokens import parts_of_prompt

ASCII_CHARS_PER_TOKEN: Final = 3.0  # fewer than usual
OTHER_CHARS_PER_TOKEN: Final = 1.0
IMAGE_TOKENS: Final = 1_500  # what a large one costs at OpenAI, and its parts are not looked at
REWRITTEN_TOKENS: Final = 1_200  # three examples at their longest, and a template
ASSUMED_COMPLETION_TOKENS: Final = 1_000  # of a request that sets no limit, unless longer answers were seen


class Expectation:
    """Guesses by a request's length and its limit of tokens; where it sets none, by the longest answer of its model."""

    def __init__(self) -> None:
        self._longest: dict[str, int] = {}

    def learn(self, record: DecisionRecord) -> None:
        """Remembers how long a model's answers may be."""
        for attempt in record.attempts:
            tokens = 0 if attempt.usage is None else attempt.usage.completion_tokens
            if tokens > self._longest.get(record.model, ASSUMED_COMPLETION_TOKENS):
                self._longest[record.model] = tokens

    def cost_usd(self, body: JsonObject, target: ModelRecord | BackendRecord, table: RoutingTable) -> float:
        """What a request costs if everybody is asked whom the model may ask, each once and without another try."""
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        tokens = limit or self._longest.get(target.name, ASSUMED_COMPLETION_TOKENS)
        prompt = prompt_tokens(body)
        if isinstance(target, ModelRecord) and target.rewrite == "live":
            prompt += REWRITTEN_TOKENS
        return _cost_usd(target, table, prompt, tokens * (body.get("n") or 1))


def prompt_tokens(body: JsonObject) -> int:
    """A rather high guess at how many tokens a request's messages and tools are."""
    return round(sum(_tokens(part) for part in parts_of_prompt(body, IMAGE_TOKENS)))


def _tokens(part: str | int) -> float:
    if isinstance(part, int):
        return part
    return len(part) / (ASCII_CHARS_PER_TOKEN if part.isascii() else OTHER_CHARS_PER_TOKEN)


def _cost_usd(target: ModelRecord | BackendRecord, table: RoutingTable, prompt: int, completion: int) -> float:
    if isinstance(target, BackendRecord):
        return 0.0 if target.price is None else target.price.cost_usd(prompt, completion)

    def of(names: Iterable[str], prompt: int) -> float:
        return sum(_cost_usd(table.resolve(name), table, prompt, completion) for name in names)

    usd = of(target.members, prompt)
    if not target.is_ensemble:
        return usd
    times = target.samples if target.merge == "self_consistency" else 1
    judges = () if target.judge is None else (target.judge,)  # who reads all the answers
    return usd * times + of(judges, prompt + len(target.members) * times * completion)
