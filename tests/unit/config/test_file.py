import os
from pathlib import Path

import pytest

from actors.config.backends import BackendConfig, ScriptedBackend
from actors.config.file import check_config, check_text, load_config, parse_config
from actors.protocol.errors import ConfigError

BACKENDS = "backends: {qwen: {provider: scripted}, smol: {provider: scripted}}\n"


def lines(text: str, **environment: str) -> list[str]:
    return [str(problem) for problem in check_text(text, "c.yaml", environment)]


def test_a_file_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(BACKENDS + "server: {port: 9000}\n", encoding="utf-8-sig")

    assert check_config(file) == []
    assert load_config(file).server.port == 9000


def test_a_problem_says_where_what_and_what_was_meant() -> None:
    text = BACKENDS + "models:\n  fast:\n    members: [smol, qwn]\n"

    assert lines(text) == [
        "c.yaml:4:21: models.fast.members[1]: no backend or model is called 'qwn'; did you mean 'qwen'?"
    ]


def test_all_problems_are_found_at_once_in_the_order_of_the_file() -> None:
    text = """\
server: {prot: 80, port: 99999}
backends:
  qwen: {provider: llama_cpp, model: m, base_url: "http://h", weight: -1}
  smol: {provider: opnai, timeout_s: .inf}
  smol: {}
  net: {provider: openai, model: no}
models:
  fast: {strategy: failovr, members: [qwen, qwn], quorum: 5, max_attempts: 0}
  loop: {members: [loop], merge: synthesize, min_confidence_01: 2}
cache: {ttl_s: 0}
"""

    assert lines(text) == [
        "c.yaml:1:10: server.prot: unknown key; did you mean 'port'?",
        "c.yaml:1:26: server.port: must be at most 65535; found 99999",
        "c.yaml:3:41: backends.qwen.base_url: this key is for the provider 'openai', but this backend's is 'llama_cpp'",
        "c.yaml:3:71: backends.qwen.weight: must be at least 0; found -1",
        "c.yaml:4:3: backends.smol: 'base_url' is missing",
        "c.yaml:4:3: backends.smol: 'model' is missing",
        "c.yaml:4:20: backends.smol.provider: 'opnai' is not a known provider; "
        "available: 'openai', 'llama_cpp', 'scripted'; did you mean 'openai'?",
        "c.yaml:4:38: backends.smol.timeout_s: must be a finite number; found inf",
        "c.yaml:5:3: backends.smol: the same key again; the first is in line 4, column 3",
        "c.yaml:6:3: backends.net: 'base_url' is missing",
        "c.yaml:6:34: backends.net.model: must be text; found false; put it in quotes",
        "c.yaml:8:20: models.fast.strategy: 'failovr' is not a known strategy; available: 'failover', 'weighted', "
        "'round_robin', 'least_busy', 'fastest', 'cheapest', 'learned', 'ensemble', 'cascade', 'pipeline'; "
        "did you mean 'failover'?",
        "c.yaml:8:45: models.fast.members[1]: no backend or model is called 'qwn'; did you mean 'qwen'?",
        "c.yaml:8:59: models.fast.quorum: must be at most 2, the number of members; found 5",
        "c.yaml:8:76: models.fast.max_attempts: must be at least 1; found 0",
        "c.yaml:9:20: models.loop.members[0]: a model cannot lead back to itself: loop -> loop",
        "c.yaml:9:65: models.loop.min_confidence_01: must be at most 1; found 2",
        "c.yaml:10:16: cache.ttl_s: must be more than 0; found 0",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "optimizer: {rewrite: shadows}",
            "2:22: optimizer.rewrite: 'shadows' is not a known rewrite; available: 'never', 'shadow', 'live'; "
            "did you mean 'shadow'?",
        ),
        (
            "optimizer: {patterns: {own: {template: 'Think.'}}}",
            "2:40: optimizer.patterns.own.template: must hold {question} once, and {examples} once at most; "
            "found 'Think.'",
        ),
        (
            "optimizer: {patterns: {own: {min_chars: 5}}}",
            "2:13: optimizer.patterns: a pattern that is not built in needs a 'template'; built in: ",
        ),
        (
            "optimizer: {patterns: {plain: {enabled: false}}}",
            "2:13: optimizer.patterns: pattern names are words other ",
        ),
        (
            "optimizer: {patterns: {format: {task_types: [maths]}}}",
            "2:46: optimizer.patterns.format.task_types[0]: 'maths' is not a known type of task; available: 'code', "
            "'math', ",
        ),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_at_its_place(line: str, message: str) -> None:
    (found,) = lines(BACKENDS + line)

    assert found.startswith(f"c.yaml:{message}")


def test_a_planned_provider_is_refused_clearly() -> None:
    (problem,) = check_text("backends: {a: {provider: anthropic, model: m}}", environment={})

    assert problem.message.startswith("'anthropic' is not available in this version")


def test_a_backend_without_a_provider_is_checked_all_the_same() -> None:
    text = "backends:\n  a:\n    base_url: http://h\n    weight: -1\n    modle: x\n"

    assert lines(text) == [
        "c.yaml:2:3: backends.a: 'provider' is missing; available: 'openai', 'llama_cpp', 'scripted'",
        "c.yaml:4:13: backends.a.weight: must be at least 0; found -1",
        "c.yaml:5:5: backends.a.modle: unknown key; did you mean 'model'?",
    ]


def test_numbers_and_flags_may_come_from_the_environment() -> None:
    text = BACKENDS + "server: {port: env:PORT}\ntracing: {enabled: env:TRACE, sample_01: env:SHARE}\n"

    made = parse_config(text, environment={"PORT": "9000", "TRACE": "false", "SHARE": "0.5"})

    assert (made.server.port, made.tracing.enabled, made.tracing.sample_01) == (9000, False, 0.5)


@pytest.mark.parametrize("value", ["eighty", "99999999999999999999", "nan", "8.5", "0"])
def test_a_bad_number_of_the_environment_is_not_shown(value: str) -> None:
    (line,) = lines(BACKENDS + "server: {port: env:PORT}\n", PORT=value)

    assert line.startswith("c.yaml:2:16: server.port: must be ")
    assert line.endswith("found the value of env:PORT")


def test_a_missing_variable_is_one_problem() -> None:
    text = BACKENDS + "server: {host: env:HOST, api_keys: [env:KEY]}\nmodels: {m: {members: [env:A, env:B]}}\n"

    assert [line.partition("variable ")[2] for line in lines(text)] == [
        "HOST is not set",
        "KEY is not set",
        "A is not set",
        "B is not set",
    ]


def test_the_environment_is_that_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_TEST_PORT", "9001")
    file = tmp_path / "c.yaml"
    file.write_text(BACKENDS + "server: {port: env:TROUPE_TEST_PORT}\n")

    assert load_config(file).server.port == 9001


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "c.yaml: the file is empty"),
        ("# only a comment\n", "c.yaml: the file is empty"),
        ("[1, 2]", "c.yaml:1:1: the file must be a mapping with sections such as 'server' and 'backends'"),
        ("text", "c.yaml:1:1: the file must be a mapping with sections such as 'server' and 'backends'"),
        ("null", "c.yaml:1:1: the file must be a mapping with sections such as 'server' and 'backends'"),
        ("!x {a: 1}", "c.yaml:1:1: has a tag that means nothing here"),
        ("a: [", "c.yaml:1:5: not valid YAML: while parsing a flow node, expected the node content, "
         "but found '<stream end>'"),
        ("{}", "c.yaml:1:1: 'backends' is missing"),
        ("backends: {}", "c.yaml:1:1: backends: must not be empty; found an empty mapping"),
        ("backends:", "c.yaml:1:10: backends: must be a mapping; found nothing"),
    ],
)  # fmt: skip
def test_a_file_without_a_configuration_is_one_problem(text: str, message: str) -> None:
    assert lines(text) == [message]


def test_a_file_that_cannot_be_read_is_one_problem(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")

    found = [str(problem) for name in ("no.yaml", "", "latin.yaml") for problem in check_config(tmp_path / name)]

    assert found == [
        f"{tmp_path}/no.yaml: there is no such file",
        f"{tmp_path}: the file cannot be read: {os.strerror(21)}",
        f"{tmp_path}/latin.yaml: the file is not UTF-8 text",
    ]


def test_loading_lists_all_problems() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(BACKENDS + "server: {port: 0}\nqqq: 1\n", "c.yaml", {})

    head, *rest = caught.value.message.splitlines()
    assert head == "The configuration has 2 problems:"
    assert [line.split(": ")[:2] for line in rest] == [["  c.yaml:2:16", "server.port"], ["  c.yaml:3:1", "qqq"]]
    assert caught.value.__context__ is None


def test_a_problem_is_one_line_whatever_the_file_holds() -> None:
    (problem, *_) = check_text('backends: {"a\\nb\\e[31m": {provider: scripted}}', environment={})

    assert str(problem).isprintable()


def test_providers_may_object_as_well() -> None:
    def refuse_even(name: str, backend: BackendConfig) -> None:
        assert isinstance(backend, ScriptedBackend)
        if name == "qwen":
            raise ConfigError("The script cannot be used:\n  a: wrong\n  b: wrong")

    problems = check_text(BACKENDS + "server: {port: 0}", "c.yaml", {}, refuse_even)

    assert [str(problem) for problem in problems] == [
        "c.yaml:1:12: backends.qwen: The script cannot be used: a: wrong; b: wrong",
        "c.yaml:2:16: server.port: must be at least 1; found 0",
    ]


def test_a_merged_backend_is_checked_at_its_anchor() -> None:
    text = "backends:\n  a: &a {provider: scripted, weight: -1}\n  b: {<<: *a, weight: 2}\n  c: {<<: *a}\n"

    assert lines(text) == [
        "c.yaml:2:38: backends.a.weight: must be at least 0; found -1",
        "c.yaml:2:38: backends.c.weight: must be at least 0; found -1",
    ]
