from typing import Any

import pytest

from actors.ensembling.wanted import ANYTHING, json_in, undressed, wanted_by
from actors.protocol.messages import Answer, Completion

CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 0}},
    "required": ["city"],
    "additionalProperties": False,
}


def asking(schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}}


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ('{"city": "Rome", "people": 3}', None),
        ('Here you are:\n```json\n{"city": "Rome"}\n```\nAnything else?', None),
        ('{"people": 3}', "invalid"),
        ('{"city": "Rome", "people": -1}', "invalid"),
        ('{"city": "Rome", "mayor": "?"}', "invalid"),
        ('["Rome"]', "invalid"),
        ('{"city": "Rome"', "malformed"),
        ("Rome", "malformed"),
        ("", None),
    ],
)
def test_an_answer_is_checked_against_the_callers_schema(text: str, flaw: str | None) -> None:
    assert wanted_by(asking(CITY)).flaw_of(text) == flaw


def test_a_json_object_is_no_other_value() -> None:
    wanted = wanted_by({"response_format": {"type": "json_object"}})

    assert [wanted.flaw_of(text) for text in ('{"a": 1}', "[1]", "1", "null")] == [None, *["malformed"] * 3]


@pytest.mark.parametrize("body", [{}, {"response_format": None}, {"response_format": {"type": "text"}}, {"tools": []}])
def test_where_nothing_is_asked_for_nothing_is_wrong(body: dict[str, Any]) -> None:
    assert wanted_by(body) is ANYTHING
    assert ANYTHING.flaw_of("{broken") is None


@pytest.mark.parametrize("schema", [{"type": 5}, {"required": "city"}, {"$ref": "http://127.0.0.1:1/s"}, None, "x"])
def test_a_schema_that_cannot_be_followed_says_nothing_against_an_answer(schema: Any) -> None:
    assert wanted_by(asking(schema)).flaw_of('{"city": "Rome"}') is None


@pytest.mark.timeout(5)
def test_a_pattern_that_would_take_forever_is_not_tried() -> None:
    schema = {"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}, "required": ["a"]}
    endless = "a" * 40 + "!"

    assert wanted_by(asking(schema)).flaw_of(f'{{"a": "{endless}"}}') is None
    assert wanted_by(asking(schema)).flaw_of(f'{{"b": "{endless}"}}') == "invalid"
    keys = {"patternProperties": {"^(a+)+$": False}, "additionalProperties": False}
    assert wanted_by(asking(keys)).flaw_of(f'{{"{endless}": 1}}') is None


@pytest.mark.timeout(5)
def test_a_schema_that_unfolds_without_end_is_not_followed_to_its_end() -> None:
    schema = {"properties": {"x": {"anyOf": [{"$ref": "#"}] * 8}, "y": {"type": "string"}}}

    assert wanted_by(asking(schema)).flaw_of('{"x":' * 30 + '{"y": 1}' + "}" * 30) is None
    assert wanted_by(asking(schema)).flaw_of('{"x": {"x": {"y": 1}}}') == "invalid"


def test_the_tools_that_may_be_called_are_named() -> None:
    tools = [{"type": "function", "function": {"name": "weather"}}, {"type": "custom"}, "odd"]

    assert wanted_by({"tools": tools}).tools == {"weather"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('  {"a": 1}\n', '{"a": 1}'),
        ('```\n{"a": 1}\n```', '{"a": 1}'),
        ('Sure: {"a": {"b": "}"}} is it.', '{"a": {"b": "}"}}'),
        ("It is [1, 2].", "[1, 2]"),
        ('"Rome"', '"Rome"'),
        ("No JSON {here}.", "No JSON {here}."),
        ("[" * 50_000, "[" * 50_000),
    ],
)
def test_the_json_of_a_reply_is_found_in_what_stands_around_it(text: str, found: str) -> None:
    assert json_in(text) == found


def test_an_undressed_answer_is_the_json_alone_with_all_else_kept() -> None:
    text = '```json\n{"a": 1}\n```'
    body = {"id": "x", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": None}]}
    answer = Answer("a", Completion(body, text, "stop", None), 1.0)

    bare = undressed(answer)

    assert bare.text == '{"a": 1}'
    assert bare.completion.body == {
        "id": "x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": '{"a": 1}'}, "logprobs": None}],
    }
    assert undressed(bare) is bare
