import re
from typing import Any

import orjson
import pytest

from actors.edge import wire
from actors.edge.gateway import ChatRequest, Wishes
from actors.protocol.clock import ManualClock
from actors.protocol.errors import CallerError, Unprocessable
from actors.protocol.messages import Feedback
from actors.protocol.preference import Preference

ASKED = [{"role": "user", "content": "What is 6 times 7?"}]


def chat(**parameters: Any) -> ChatRequest:
    body = {"model": "alpha", "messages": ASKED, **parameters}
    return wire.chat_request(body, request_id="req_1", key_name="ci", received_s=12.5)


def refusal(**parameters: Any) -> CallerError:
    with pytest.raises(CallerError) as caught:
        chat(**parameters)
    assert caught.value.status == 400
    return caught.value


def test_a_minimal_request_is_taken_apart() -> None:
    request = chat()

    assert request == ChatRequest("req_1", "alpha", {"messages": ASKED}, False, False, 1, Wishes(), "ci", 12.5)


def test_a_request_that_came_without_an_id_gets_one_and_is_received_now() -> None:
    request = wire.chat_request({"model": "alpha", "messages": ASKED}, ManualClock(7.0))

    assert re.fullmatch(r"req_[0-9a-f]{24}", request.request_id)
    assert (request.received_s, request.key_name) == (7.0, None)


def test_what_is_not_for_the_models_is_kept_out_of_the_body() -> None:
    request = chat(stream=True, stream_options={"include_usage": True}, troupe={"quorum": 2}, n=3, temperature=0)

    assert request.body == {"messages": ASKED, "n": 3, "temperature": 0}
    assert (request.stream, request.include_usage, request.n) == (True, True, 3)


def test_unknown_parameters_pass_untouched() -> None:
    assert chat(top_k=-1, chat_template_kwargs={"think": [1]}).body["chat_template_kwargs"] == {"think": [1]}


def test_null_means_not_given_and_is_passed_on() -> None:
    request = chat(temperature=None, stream=None, stream_options=None, n=None, troupe=None)

    assert request.body == {"messages": ASKED, "temperature": None, "n": None}
    assert (request.stream, request.n, request.wishes) == (False, 1, Wishes())


@pytest.mark.parametrize(
    "message",
    [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "assistant", "tool_calls": []},
        {"role": "tool", "content": "7", "tool_call_id": "call_1"},
        {"role": "function", "name": "f", "content": None},
    ],
)
def test_every_kind_of_message_is_accepted(message: dict[str, Any]) -> None:
    assert chat(messages=[message]).body["messages"] == [message]


@pytest.mark.parametrize(
    ("messages", "param", "words"),
    [
        (None, "messages", "must be an array of messages; found null"),
        ("hi", "messages", "must be an array of messages; found a string"),
        ([], "messages", "must be a non-empty array of messages"),
        (["hi"], "messages[0]", "must be an object with 'role' and 'content'; found a string"),
        ([*ASKED, {"content": "x"}], "messages[1].role", "'messages[1].role' is missing"),
        ([{"role": 1, "content": "x"}], "messages[0].role", "must be a string; found 1"),
        ([{"role": ["user"], "content": "x"}], "messages[0].role", "must be a string; found an array"),
        ([{"role": "usr", "content": "x"}], "messages[0].role", "must be one of 'assistant', 'developer'"),
        ([{"role": "user"}], "messages[0].content", "array of content parts; found null"),
        ([{"role": "tool", "content": None}], "messages[0].content", "array of content parts; found null"),
        ([{"role": "user", "content": 5}], "messages[0].content", "array of content parts; found 5"),
        ([{"role": "user", "content": []}], "messages[0].content", "found an empty array"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content[0]", "must be an object; found a string"),
        ([{"role": "user", "content": [{"text": "x"}]}], "messages[0].content[0].type", "is missing"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text", "is missing"),
        (
            [{"role": "user", "content": [{"type": "text", "text": 1}]}],
            "messages[0].content[0].text",
            "must be a string; found 1",
        ),
    ],
)
def test_a_bad_message_is_named_with_its_place(messages: object, param: str, words: str) -> None:
    error = refusal(messages=messages)

    assert error.param == param
    assert words in error.message


@pytest.mark.parametrize(
    ("parameter", "value", "words"),
    [
        ("model", None, "must be a string; found null"),
        ("model", "", "must be a non-empty string; found an empty one"),
        ("model", "m" * 257, "at most 256 characters; found 257 characters"),
        ("temperature", "0.5", "must be a number from 0 to 2; found a string"),
        ("temperature", True, "must be a number from 0 to 2; found true"),
        ("temperature", 2.5, "must be a number from 0 to 2; found 2.5"),
        ("top_p", -0.1, "must be a number from 0 to 1; found -0.1"),
        ("presence_penalty", 3, "must be a number from -2 to 2; found 3"),
        ("n", 0, "must be a whole number from 1 to 128; found 0"),
        ("n", 1.5, "must be a whole number from 1 to 128; found 1.5"),
        ("n", False, "must be a whole number from 1 to 128; found false"),
        ("max_tokens", 0, "must be a whole number of at least 1; found 0"),
        ("max_completion_tokens", "9", "must be a whole number of at least 1; found a string"),
        ("seed", 0.5, "must be a whole number; found 0.5"),
        ("stream", "true", "must be true or false; found a string"),
        ("stream", 1, "must be true or false; found 1"),
        ("logprobs", 1, "must be true or false; found 1"),
        ("top_logprobs", 21, "must be a whole number from 0 to 20; found 21"),
        ("stop", 1, "must be an array of strings; found 1"),
        ("stop", [], "must be a non-empty array of strings"),
        ("stop", ["x"] * 17, "must be an array of at most 16 strings; found 17 of them"),
        ("tools", {}, "must be an array of objects; found an object"),
        ("response_format", "json", "must be an object; found a string"),
        ("user", 7, "must be a string; found 7"),
        ("tool_choice", 7, "must be an object; found 7"),
        ("troupe", "ensemble", "must be an object; found a string"),
    ],
)
def test_a_bad_parameter_is_named_with_what_it_should_be(parameter: str, value: object, words: str) -> None:
    error = refusal(**{parameter: value})

    assert error.param == parameter
    assert error.message.startswith(f"'{parameter}' must be")
    assert words in error.message


def test_problems_inside_a_parameter_are_named_with_their_path() -> None:
    assert refusal(stop=["a", 2]).param == "stop[1]"
    assert refusal(tools=[{}]).message == "'tools[0].type' is missing."
    assert refusal(response_format={"type": 1}).param == "response_format.type"
    assert refusal(logit_bias={"50256": 101}).param == "logit_bias.50256"
    assert refusal(stop=["a", 2]).code == "invalid_type"
    assert refusal(logit_bias={"50256": 101}).code == "invalid_value"


@pytest.mark.parametrize("required", ["model", "messages"])
def test_a_missing_parameter_is_named(required: str) -> None:
    body: dict[str, Any] = {"model": "alpha", "messages": ASKED}
    del body[required]

    with pytest.raises(CallerError, match=f"'{required}' is missing") as caught:
        wire.chat_request(body)

    assert (caught.value.param, caught.value.code) == (required, "missing_required_parameter")


def test_stream_options_need_a_stream() -> None:
    assert "only allowed with 'stream': true" in refusal(stream_options={"include_usage": True}).message


def test_stream_options_that_are_not_served_are_refused_unless_switched_off() -> None:
    error = refusal(stream=True, stream_options={"include_usag": True})

    assert error.message == "'stream_options.include_usag' is not known here. Did you mean 'include_usage'?"
    assert chat(stream=True, stream_options={"include_obfuscation": False}).include_usage is False
    assert refusal(stream=True, stream_options={"include_usage": 1}).param == "stream_options.include_usage"


def test_wishes_are_taken_over() -> None:
    asked = {"strategy": "ensemble", "members": ["a", "b"], "deadline_s": 5, "max_cost_usd": 0, "merge": None}

    wishes = chat(troupe=asked).wishes

    assert wishes == Wishes(strategy="ensemble", members=("a", "b"), deadline_s=5, max_cost_usd=0)


def test_a_preference_is_a_name_or_numbers() -> None:
    assert chat(troupe={"prefer": "fast"}).wishes.prefer == Preference(quality=0.8, latency=0.2)
    assert chat(troupe={"prefer": {"quality": 3, "cost": 1}}).wishes.prefer == Preference(3, 1, 0)


@pytest.mark.parametrize(
    ("troupe", "message"),
    [
        ({"quorm": 2}, "'troupe.quorm' is not known here. Did you mean 'quorum'?"),
        ({"quorum": 0}, "'troupe.quorum' must be a whole number of at least 1; found 0."),
        ({"quorum": True}, "'troupe.quorum' must be a whole number of at least 1; found true."),
        ({"strategy": 1}, "'troupe.strategy' must be a string; found 1."),
        ({"deadline_s": 0}, "'troupe.deadline_s' must be a number from 0.001 to 86400; found 0."),
        ({"max_cost_usd": -1}, "'troupe.max_cost_usd' must be a number of at least 0; found -1."),
        ({"min_confidence_01": 1.1}, "'troupe.min_confidence_01' must be a number from 0 to 1; found 1.1."),
        ({"prefer": "good"}, "'troupe.prefer' must be one of 'quality', 'cheap', 'fast'; found 'good'."),
        ({"prefer": {"cots": 1}}, "'troupe.prefer.cots' is not known here. Did you mean 'cost'?"),
        ({"prefer": {"cost": -1}}, "'troupe.prefer.cost' must be a number from 0 to 1e+06; found -1."),
        ({"prefer": {"cost": 0}}, "'troupe.prefer' must be an object with a number above 0; found none."),
        ({"members": []}, "'troupe.members' must be a non-empty array of backend or model names; found an empty one."),
        ({"members": ["a", 1]}, "'troupe.members[1]' must be a string; found 1."),
    ],
)
def test_a_bad_wish_is_named(troupe: dict[str, Any], message: str) -> None:
    assert refusal(troupe=troupe).message == message


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "The request body is empty"),
        (b"{", "not valid JSON"),
        (b'{"a": 1,\n "b" 2}', "(line 2, column 6)"),
        (b'{"temperature": NaN}', "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b"[1]", "must be a JSON object, but is an array"),
        (b'"hi"', "must be a JSON object, but is a string"),
        (b"null", "must be a JSON object, but is null"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_with_its_reason(raw: bytes, words: str) -> None:
    with pytest.raises(CallerError) as caught:
        wire.json_object(raw, {})

    assert words in caught.value.message


def test_a_form_is_called_what_it_is() -> None:
    with pytest.raises(CallerError, match=r"not valid JSON: .* Its content type is 'multipart/form-data'"):
        wire.json_object(b"--x\r\n", {b"content-type": b"multipart/form-data"})


def test_json_is_taken_under_any_content_type() -> None:
    assert wire.json_object(b'{"a": 1}', {b"content-type": b"text/plain"}) == {"a": 1}


def test_a_compressed_body_is_refused() -> None:
    with pytest.raises(CallerError, match="Compressed request bodies are not supported"):
        wire.json_object(b"\x1f\x8b", {b"content-encoding": b"gzip"})


def test_errors_do_not_repeat_long_input() -> None:
    error = refusal(troupe={"k" * 1_000_000: 1})

    assert len(error.message) < 400


def test_feedback_is_taken_over() -> None:
    body = {"request_id": "req_1", "correct": True, "score_01": 0.5, "gold": None}

    assert wire.feedback(body) == Feedback("req_1", correct=True, score_01=0.5)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"correct": True}, "'request_id' is missing."),
        ({"request_id": "", "correct": True}, "'request_id' must be a non-empty string; found an empty one."),
        ({"request_id": "r", "scoer_01": 1}, "'scoer_01' is not known here. Did you mean 'score_01'"),
        ({"request_id": "r", "score_01": 1.5}, "'score_01' must be a number from 0 to 1; found 1.5."),
        ({"request_id": "r", "correct": "yes"}, "'correct' must be true or false; found a string."),
        ({"request_id": "r", "preferred": ["a"]}, "'preferred' must be a string; found an array."),
    ],
)
def test_bad_feedback_is_refused(body: dict[str, Any], message: str) -> None:
    with pytest.raises(CallerError) as caught:
        wire.feedback(body)

    assert caught.value.message.startswith(message)
    assert caught.value.status == 400


def test_feedback_without_a_judgement_is_unprocessable() -> None:
    with pytest.raises(Unprocessable, match="at least one of 'correct', 'score_01', 'preferred', 'gold'"):
        wire.feedback({"request_id": "req_1", "comment": "nice"})


def test_a_parsed_request_survives_the_way_back_to_json() -> None:
    body = {"messages": ASKED, "temperature": 0.25, "extra": {"deep": [1, None, "ü"]}}

    raw = orjson.dumps({"model": "alpha", **body})

    assert wire.chat_request(wire.json_object(raw, {})).body == body


def test_suggestions_name_near_names_or_what_there_is() -> None:
    assert wire.suggestion("alpa", ["alpha", "beta"]) == " Did you mean 'alpha'?"
    assert wire.suggestion("zzz", ["alpha", "beta"]) == " Available: 'alpha', 'beta'."
    assert wire.suggestion("zzz", []) == ""
