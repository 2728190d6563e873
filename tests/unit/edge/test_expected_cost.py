"""Is more set aside for a request than it will cost?"""

from dataclasses import replace

import pytest

from actors.edge.expected_cost import REWRITTEN_TOKENS, Expectation, prompt_tokens
from actors.protocol.messages import JsonObject
from actors.routing.table import BackendRecord, ModelRecord, Price, RoutingTable

MEMBERS = ["cheap", "dear"]
MODELS = [
    ModelRecord("either", "failover", MEMBERS),
    ModelRecord("both", "ensemble", MEMBERS),
    ModelRecord("thrice", "ensemble", MEMBERS, merge="self_consistency", samples=3),
    ModelRecord("judged", "ensemble", MEMBERS, merge="best_of_n", judge="dear"),
    ModelRecord("nested", "ensemble", ["thrice", "cheap"]),
    ModelRecord("free", "failover", ["local"]),
]
# A token out costs 1 USD at the cheap one and 5 at the dear one, which takes 2 USD for a token in as well.
PRICES = {"cheap": Price(0.0, 1e6), "dear": Price(2e6, 5e6), "local": None}
BACKENDS = {name: BackendRecord(name, "scripted", name, True, price=price) for name, price in PRICES.items()}
TABLE = RoutingTable(1, BACKENDS, {model.name: model for model in MODELS})


@pytest.mark.parametrize(
    ("model", "usd"),
    [
        ("cheap", 10.0),
        ("either", 10.0 + 50.0),
        ("both", 10.0 + 50.0),
        ("thrice", 3 * (10.0 + 50.0)),
        ("judged", 10.0 + 50.0 + 2 * 20.0 + 50.0),  # the judge reads two answers
        ("nested", 3 * (10.0 + 50.0) + 10.0),
        ("free", 0.0),
    ],
)
def test_everybody_counts_as_often_as_asked_and_the_judge_too(model: str, usd: float) -> None:
    assert Expectation().cost_usd({"max_tokens": 10}, TABLE.resolve(model), TABLE) == usd


def test_each_choice_is_paid_for() -> None:
    assert Expectation().cost_usd({"max_tokens": 10, "n": 3}, BACKENDS["cheap"], TABLE) == 30.0


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"messages": [{"role": "user", "content": "x" * 6}]}, 3 + 2),
        ({"messages": [{"role": "user", "content": "\u4f60" * 6}]}, 3 + 6),
        ({"messages": [], "tools": ["x" * 26]}, 10),
        ({"messages": [{"content": [{"type": "image_url", "image_url": {"url": "x" * 1_000_000}}]}]}, 3 + 1_500),
    ],
)
def test_words_tools_and_pictures_are_counted_rather_high(body: JsonObject, tokens: int) -> None:
    assert prompt_tokens(body) == tokens


def test_what_rewriting_may_add_to_a_question_is_counted() -> None:
    asked = {"max_tokens": 10}
    plainly = ModelRecord("m", "failover", ["dear"])

    added_usd = Expectation().cost_usd(asked, replace(plainly, rewrite="live"), TABLE) - 50.0

    assert Expectation().cost_usd(asked, plainly, TABLE) == 50.0
    assert added_usd == 2.0 * REWRITTEN_TOKENS
