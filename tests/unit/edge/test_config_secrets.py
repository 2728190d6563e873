"""No secret and no value of the environment shows up anywhere."""

import itertools

import pytest

from actors.edge.config_file import check_text, parse_config
from actors.protocol.errors import ConfigError

SECRET = "s3cret-Value"
GOOD = """
server: {host: 0.0.0.0, api_keys: [KEY-1, {key: KEY-2, name: ops}]}
backends: {net: {provider: openai, base_url: "https://example.test", model: m, api_key: KEY-3}}
"""
BACKEND = "provider: openai, base_url: 'http://h', model: m"


@pytest.mark.parametrize("source", ["env:SECRET", SECRET])
def test_a_configuration_never_shows_its_secrets(source: str) -> None:
    text = GOOD.replace("KEY-1", source).replace("KEY-2", "other").replace("KEY-3", source)

    made = parse_config(text, environment={"SECRET": SECRET})

    assert made.server.api_keys[0].key.get_secret_value() == SECRET
    shown = [str(made), repr(made), made.model_dump_json(), str(made.model_dump()), str(made.backend_records())]
    assert not [one for one in shown if SECRET in one]


@pytest.mark.parametrize(
    "line",
    [
        "server: {api_keys: SECRET}",
        "server: {api_keys: {SECRET: 1}}",
        "server: {api_keys: [[SECRET]]}",
        "server: {api_keys: ['SECRET with spaces']}",
        "server: {api_keys: [SECRET, SECRET]}",
        "server: {api_keys: [{SECRET: x}]}",
        "server: {api_keys: [{SECRET: x, SECRET: y}]}",
        "server: {api_keys: [{key: k, name: {SECRET: 1}}]}",
        "server: {api_keys: [{key: k, budget_usd_per_day: SECRET}]}",
        "server: {api_keys: ['env:SECRET']}",
        "backends: {net: {BACKEND, api_key: [SECRET]}}",
        "backends: {net: {BACKEND, api_key: {SECRET: 1}}}",
        "backends: {net: {BACKEND, api_key: 'SECRET é'}}",
        "backends: {net: {BACKEND, apikey: SECRET}}",
        "backends: {net: {provider: openai, model: m, base_url: 'http://u:SECRET@h'}}",
        "backends: {net: {provider: openai, model: m, base_url: 'h?key=SECRET'}}",
        "backends: {net: {provider: scripted, api_key: SECRET}}",
    ],
)
def test_a_problem_never_shows_a_secret(line: str) -> None:
    text = line.replace("SECRET", SECRET).replace("BACKEND", BACKEND)

    problems = check_text(text, environment={})

    assert problems
    assert not [problem for problem in problems if SECRET in repr(problem) or SECRET in str(problem)]
    with pytest.raises(ConfigError) as caught:
        parse_config(text, environment={})
    assert SECRET not in repr(caught.value)


PLACES = """
server: {host: A, port: B, replicas: C, max_body_mb: D, api_keys: [E, {key: F, name: G, budget_usd_per_day: H}]}
ray: {address: I, namespace: J}
backends:
  net: {provider: K, base_url: L, api_key: M, model: N, timeout_s: O, weight: P, price: Q, supports: {tools: R}}
  two: S
  three: {provider: openai, base_url: T, api_key: U, model: V, rpm: W}
models:
  m: {strategy: X, members: [net, Y], merge: Z, judge: AA, quorum: AB, max_cost_usd: AC}
  n: {members: AD}
optimizer: {state: AE, rewrite: AF, enabled: AG}
tracing: {otlp_endpoint: AH}
cache: {enabled: AI}
"""


@pytest.mark.parametrize("value", [SECRET, "s3cret Value", "https://s3cret-Value", "x" * 70 + SECRET])
def test_no_value_of_the_environment_is_ever_shown(value: str) -> None:
    names = [
        "".join(letters) for size in (1, 2) for letters in itertools.product("ABCDEFGHIJKLMNOPQRSTUVWXYZ", repeat=size)
    ]
    text = PLACES
    for name in reversed(names[:35]):
        for before, after in itertools.product(" [", ",}]\n"):
            text = text.replace(f"{before}{name}{after}", f"{before}env:{name}{after}")

    problems = check_text(text, environment=dict.fromkeys(names[:35], value))

    assert len(problems) > 20
    assert not [problem for problem in problems if "s3cret" in repr(problem) or "s3cret" in str(problem)]
