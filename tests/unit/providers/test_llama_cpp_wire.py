from typing import Any

import orjson
import pytest

from actors.protocol.errors import (
    BackendError,
    BackendUnavailable,
    ContextTooLong,
    LLMError,
    MalformedAnswer,
    RequestRefused,
)
from actors.protocol.messages import JsonObject, Usage
from actors.providers.llama_cpp_wire import Ask, Reader, ask_of, chunk_of, completion_of

USER = {"role": "user", "content": "hi"}
PLAIN: JsonObject = {"messages": [USER]}


def event(**fields: Any) -> bytes:
    return orjson.dumps({"id": "c1", "created": 7, "model": "/path", "object": "chat.completion.chunk", **fields})


def token(text: str, logprob: float | None = None, index: int = 0) -> bytes:
    choice: JsonObject = {"finish_reason": None, "index": index, "delta": {"content": text}}
    if logprob is not None:
        best = {"token": text, "logprob": logprob}
        choice["logprobs"] = {"content": [{**best, "top_logprobs": [best]}]}
    return event(choices=[choice])


def stop(reason: str = "stop", index: int = 0) -> bytes:
    return event(choices=[{"finish_reason": reason, "index": index, "delta": {}}])


def usage(prompt: int, completion: int) -> bytes:
    return event(choices=[], usage=Usage(prompt, completion).as_json())


def reader(body: JsonObject = PLAIN) -> Reader:
    return Reader(ask_of(body, None), "tiny", "local")


def read(body: JsonObject, *raws: bytes) -> tuple[list[JsonObject], Reader]:
    by = reader(body)
    return [found for raw in raws if (found := by.event(raw)) is not None], by


def test_the_runtime_is_always_asked_for_a_stream_with_usage_progress_and_logprobs() -> None:
    assert ask_of(PLAIN, None).body == {
        "messages": [USER],
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
        "logprobs": True,
        "top_logprobs": 1,
    }


def test_unknown_parameters_are_passed_on() -> None:
    assert ask_of({**PLAIN, "min_p": 0.1, "grammar": "root ::= 'x'"}, None).body["min_p"] == 0.1


def test_the_callers_own_count_of_alternatives_is_kept() -> None:
    ask = ask_of({**PLAIN, "logprobs": True, "top_logprobs": 4}, None)

    assert ask.body["top_logprobs"] == 4
    assert (ask.logprobs, ask.top_logprobs) == (True, True)


def test_alternatives_without_logprobs_are_left_for_the_runtime_to_refuse() -> None:
    assert "logprobs" not in ask_of({**PLAIN, "top_logprobs": 2}, None).body


def test_beside_tools_no_logprobs_are_asked_for() -> None:
    assert "logprobs" not in ask_of({**PLAIN, "tools": [{"type": "function"}]}, None).body


def test_our_system_message_comes_first_where_the_caller_sent_none() -> None:
    assert ask_of(PLAIN, "be brief").body["messages"] == [{"role": "system", "content": "be brief"}, USER]


@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_callers_system_message_stands_alone(role: str) -> None:
    messages = [{"role": role, "content": "be long"}, USER]

    assert ask_of({"messages": messages}, "be brief").body["messages"] == messages


def test_messages_that_are_no_list_are_left_for_the_runtime_to_refuse() -> None:
    assert ask_of({"messages": "hi"}, "be brief").body["messages"] == "hi"


def test_a_request_that_json_cannot_carry_is_refused() -> None:
    with pytest.raises(RequestRefused, match="64-bit"):
        ask_of({**PLAIN, "seed": 2**70}, None).payload("local")


def test_an_ask_never_shows_the_callers_text() -> None:
    assert "hi" not in repr(Ask({"messages": "hi"}, True, True, True))


def test_events_carry_our_model_name_and_no_logprobs_that_nobody_asked_for() -> None:
    (found,), by = read(PLAIN, token("Paris", -0.5))

    assert found["model"] == "tiny"
    assert found["choices"] == [{"finish_reason": None, "index": 0, "delta": {"content": "Paris"}}]
    assert by.logprob_mean == -0.5


def test_logprobs_without_alternatives_are_what_the_caller_asked_for() -> None:
    (found,), _ = read({**PLAIN, "logprobs": True}, token("Paris", -0.5))

    assert found["choices"][0]["logprobs"] == {"content": [{"token": "Paris", "logprob": -0.5, "top_logprobs": []}]}


def test_the_mean_logprob_is_over_the_first_choices_tokens() -> None:
    _, by = read({**PLAIN, "n": 2}, token("a", -1.0), token("b", -2.0), token("c", -9.0, index=1))

    assert by.logprob_mean == -1.5


def test_without_tokens_there_is_no_mean_logprob() -> None:
    assert reader().logprob_mean is None


def test_a_probability_that_underflowed_does_not_drown_the_mean() -> None:
    _, by = read(PLAIN, token("a", 0.0), token("b", -3.4e38))

    assert by.logprob_mean == -50.0


def test_progress_is_shown_only_to_those_who_asked() -> None:
    progress = event(choices=[{"finish_reason": None, "index": 0, "delta": {}}], prompt_progress={"total": 9})

    assert read(PLAIN, progress)[0] == []
    assert len(read({**PLAIN, "return_progress": True}, progress)[0]) == 1


def test_empty_events_are_skipped() -> None:
    assert read(PLAIN, b"", b"\n")[0] == []


@pytest.mark.parametrize("raw", [b"{", b"[]", b"{}", b'{"choices": [{}]}', b'{"error": 3}'])
def test_what_is_no_event_is_a_malformed_answer(raw: bytes) -> None:
    with pytest.raises(MalformedAnswer, match="'local' sent no valid event"):
        reader().event(raw)


def test_an_answer_is_complete_when_each_choice_has_its_reason() -> None:
    _, by = read({**PLAIN, "n": 2}, token("a"), token("b", index=1), stop())
    with pytest.raises(MalformedAnswer, match="broke off"):
        by.end()

    by.event(stop(index=1))

    by.end()


def test_no_answer_at_all_is_not_complete() -> None:
    with pytest.raises(MalformedAnswer, match="broke off"):
        reader().end()


def test_usage_of_several_choices_comes_once_with_all_tokens() -> None:
    found, _ = read({**PLAIN, "n": 2}, usage(10, 4), usage(10, 5))

    assert [each["usage"] for each in found] == [{"prompt_tokens": 10, "completion_tokens": 9, "total_tokens": 19}]


def test_a_chunk_tells_the_first_choices_text_reason_and_usage() -> None:
    found, _ = read(PLAIN, token("Paris"), stop("length"), usage(3, 1))

    chunks = [chunk_of(each) for each in found]

    assert [chunk[1:4] for chunk in chunks] == [("Paris", None, None), ("", "length", None), ("", None, Usage(3, 1))]
    assert orjson.loads(chunks[2].data)["choices"] == []


def test_events_become_a_chat_completion() -> None:
    found, by = read(PLAIN, token("Pa", -0.2), token("ris", -0.4), stop(), usage(3, 2))

    completion = completion_of(found, by.logprob_mean)

    assert completion.body == {
        "id": "c1",
        "created": 7,
        "model": "tiny",
        "object": "chat.completion",
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Paris"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
    }
    assert (completion.text, completion.finish_reason, completion.usage) == ("Paris", "stop", Usage(3, 2))
    assert completion.logprob_mean == pytest.approx(-0.3)


def test_logprobs_that_were_asked_for_are_joined() -> None:
    found, by = read({**PLAIN, "logprobs": True}, token("Pa", -0.2), token("ris", -0.4), stop())

    logprobs = completion_of(found, by.logprob_mean).body["choices"][0]["logprobs"]

    assert [each["token"] for each in logprobs["content"]] == ["Pa", "ris"]


def test_choices_are_kept_apart_and_in_order() -> None:
    found, by = read({**PLAIN, "n": 2}, token("b", index=1), token("a"), stop(index=1), stop())

    choices = completion_of(found, by.logprob_mean).body["choices"]

    assert [(each["index"], each["message"]["content"]) for each in choices] == [(0, "a"), (1, "b")]


def test_pieces_of_tool_calls_are_joined() -> None:
    def piece(**delta: Any) -> bytes:
        return event(choices=[{"finish_reason": None, "index": 0, "delta": {"tool_calls": [{"index": 0, **delta}]}}])

    found, by = read(
        PLAIN,
        piece(id="t1", type="function", function={"name": "weather", "arguments": '{"ci'}),
        piece(function={"arguments": 'ty": "Paris"}'}),
        stop("tool_calls"),
    )

    message = completion_of(found, by.logprob_mean).body["choices"][0]["message"]

    assert message["content"] is None
    assert message["tool_calls"] == [
        {"index": 0, "id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
    ]


@pytest.mark.parametrize(
    ("error", "kind", "status", "says"),
    [
        (
            {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 4031, "n_ctx": 512},
            ContextTooLong,
            400,
            "The prompt has 4031 tokens; 'local' takes 512",
        ),
        (
            {"code": 400, "message": "type must be\n number"},
            RequestRefused,
            400,
            "refused the request: type must be nu",
        ),
        ({"code": 503, "message": "Loading model"}, BackendUnavailable, 503, "is not ready: Loading model"),
        ({"code": 500, "message": "decode failed"}, BackendError, 502, "runtime of 'local' failed: decode failed"),
        ({"message": "x" * 400}, BackendError, 502, "x" * 300 + "..."),
    ],
)
def test_error_events_become_ours(error: JsonObject, kind: type[LLMError], status: int, says: str) -> None:
    with pytest.raises(LLMError) as caught:
        reader().event(orjson.dumps({"error": error}))

    assert type(caught.value) is kind
    assert caught.value.status == status
    assert says in caught.value.message
