"""No secret and no value of the environment shows up anywhere."""

import pytest

from actors.config.file import check_text, parse_config
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


EVERYWHERE = """
server: {host: ?, port: ?, replicas: ?, max_body_mb: ?, api_keys: [?, {key: ?, name: ?, budget_usd_per_day: ?}]}
ray: {address: ?, namespace: ?}
backends:
  net: {provider: ?, base_url: ?, api_key: ?, model: ?, timeout_s: ?, weight: ?, price: ?, supports: {tools: ?}}
  two: ?
  three: {provider: openai, base_url: ?, api_key: ?, model: ?, rpm: ?}
models:
  m: {strategy: ?, members: [net, ?], merge: ?, judge: ?, quorum: ?, max_cost_usd: ?}
  n: {members: ?}
optimizer: {state: ?, rewrite: ?, enabled: ?}
tracing: {otlp_endpoint: ?}
cache: {enabled: ?}
"""


@pytest.mark.parametrize("value", [SECRET, "s3cret Value", "https://s3cret-Value", "x" * 70 + SECRET])
def test_no_value_of_the_environment_is_ever_shown(value: str) -> None:
    problems = check_text(EVERYWHERE.replace("?", "env:SECRET"), environment={"SECRET": value})

    assert len(problems) > 20
    assert not [problem for problem in problems if "s3cret" in repr(problem) or "s3cret" in str(problem)]
