"""What does the official client get when it asks for a whole answer?"""

import pytest
from openai import OpenAI

from tests.support.openai_client import ask, text_of, told
from tests.support.running_gateway import RunningGateway
from tests.support.upstream_thread import TEXT
from tests.unit.providers.upstream_server import UpstreamServer


@pytest.mark.parametrize(
    ("model", "backend", "text"),
    [("right", "right", "The answer is 42."), ("first", "right", "The answer is 42."), ("far", "far", TEXT)],
)
def test_a_backend_and_a_failover_model_answer(client: OpenAI, model: str, backend: str, text: str) -> None:
    reply = ask(client, model)

    assert text_of(reply) == text
    assert reply.object == "chat.completion"
    assert reply.choices[0].finish_reason == "stop"
    assert told(reply)["backend"] == backend


@pytest.mark.parametrize("model", ["company", "vote", "surest"])
def test_an_ensemble_answers_with_one_choice_and_everybodys_usage(client: OpenAI, model: str) -> None:
    reply = ask(client, model)

    assert "42" in text_of(reply)
    assert len(reply.choices) == 1
    assert reply.usage is not None
    # Three questions of 5 words; answers of 4, 6 - 1 and 4 words, whichever way they are counted.
    assert reply.usage.prompt_tokens == 15
    assert reply.usage.completion_tokens == sum(one["completion_tokens"] for one in told(reply)["usage"].values())


def test_known_and_unknown_parameters_reach_the_upstream_and_ours_do_not(
    client: OpenAI, upstream: UpstreamServer
) -> None:
    wishes = {"our_own": {"of": ["a", 1]}, "troupe": {"deadline_s": 30}}

    ask(client, "far", "Pass it on.", temperature=0.5, seed=7, extra_body=wishes)

    sent = next(seen for seen in reversed(upstream.seen) if seen.path.endswith("/chat/completions"))
    assert sent.body["our_own"] == {"of": ["a", 1]}
    assert (sent.body["temperature"], sent.body["seed"], sent.body["model"]) == (0.5, 7, "upstream-model")
    assert "troupe" not in sent.body
    assert sent.headers["Authorization"] == "Bearer sk-test-key-of-upstream"


def test_several_choices_of_a_backend_are_a_matter_between_it_and_the_caller(
    client: OpenAI, upstream: UpstreamServer
) -> None:
    ask(client, "far", n=3)

    assert upstream.seen[-1].body["n"] == 3


def test_the_headers_tell_what_the_body_tells(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="echo", messages=[{"role": "user", "content": "One two three"}], extra_headers={"x-request-id": "mine"}
    )

    troupe = told(raw.parse())
    assert raw.headers["x-troupe-request-id"] == troupe["request_id"] != "mine"
    assert raw.headers["x-troupe-backend"] == troupe["backend"] == "echo"
    assert raw.headers["x-troupe-attempts"] == "1"
    assert float(raw.headers["x-troupe-overhead-ms"]) == pytest.approx(troupe["overhead_ms"], abs=0.001)
    # 3 tokens in at 1, 3 out at 2 dollars per million
    assert float(raw.headers["x-troupe-cost-usd"]) == troupe["cost_usd"] == pytest.approx(9e-6)


def test_a_script_can_ask_without_a_client(gateway: RunningGateway) -> None:
    reply = gateway.post("right")

    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["choices"][0]["message"]["content"] == "The answer is 42."
