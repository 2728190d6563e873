"""Is this request body one that we can serve, and what does it ask for?

Parameters of the OpenAI API are checked for type and range, all others are passed on untouched. Every problem is a
`CallerError` that names the parameter, what it should be and what was found; what the caller wrote is not
quoted, names and roles aside.
"""

import difflib
from collections.abc import Iterable, Mapping

import orjson

from actors.edge.checks import (
    Check,
    choice,
    flag,
    found,
    label,
    list_of,
    mapping_of,
    missing,
    number,
    one_of,
    refused,
    text,
    typed_object,
    unknown_key,
    whole,
    wrong_type,
)
from actors.edge.gateway import NO_WISHES, ChatRequest, Wishes, new_request_id
from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.errors import CallerError, Unprocessable
from actors.protocol.messages import Feedback, JsonObject
from actors.protocol.patterns import MODES, Trial
from actors.protocol.preference import PREFERENCES, Preference
from actors.protocol.ratings import Verdict

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
MAY_BE_SILENT = frozenset({"assistant", "function"})  # an assistant's tool calls come without content

PARAMETERS: Mapping[str, Check] = {
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2),
    "n": whole(1, 128),
    "max_tokens": whole(1),
    "max_completion_tokens": whole(1),
    "seed": whole(),
    "logprobs": flag,
    "top_logprobs": whole(0, 20),
    "logit_bias": mapping_of(number(-100, 100)),
    "stop": one_of(text(), list_of(text(), "strings", 1, 16)),
    "stream": flag,
    "stream_options": typed_object(),
    "tools": list_of(typed_object("type"), "objects"),
    "tool_choice": one_of(text(), typed_object()),
    "parallel_tool_calls": flag,
    "functions": list_of(typed_object("name"), "objects"),
    "function_call": one_of(text(), typed_object()),
    "response_format": typed_object("type"),
    "modalities": list_of(text(), "strings"),
    "audio": typed_object(),
    "prediction": typed_object(),
    "web_search_options": typed_object(),
    "metadata": typed_object(),
    "store": flag,
    "user": text(),
    "safety_identifier": text(),
    "prompt_cache_key": text(),
    "reasoning_effort": text(),
    "service_tier": text(),
    "verbosity": text(),
    "troupe": typed_object(),
}

WISHES: Mapping[str, Check] = {
    "strategy": label(),
    "merge": label(),
    "quorum": whole(1),
    "deadline_s": number(0.001, 86_400),
    "max_attempts": whole(1),
    "max_cost_usd": number(0),
    "min_confidence_01": number(0, 1),
    "members": list_of(label(), "backend or model names", 1, 64),
    "cache": choice("use", "bypass", "refresh"),
    "rewrite": choice(*MODES),
    "pattern": label(),
    "prefer": one_of(choice(*PREFERENCES), mapping_of(number(0, 1_000_000))),
}

WEIGHTS: Mapping[str, Check] = dict.fromkeys(("quality", "cost", "latency"), number(0, 1_000_000))

JUDGEMENTS: Mapping[str, Check] = {
    "correct": flag,
    "score_01": number(0, 1),
    "preferred": label(),
    "gold": text(100_000),
}
FEEDBACK: Mapping[str, Check] = {"request_id": label(), **JUDGEMENTS, "comment": text(100_000)}

JUDGEMENT: Mapping[str, Check] = {
    "task_type": label(),
    "backend": label(),
    "reward_01": number(0, 1),
    "at_s": number(0, 1e12),
}
PATTERN: Mapping[str, Check] = {"pattern": label()}
COMPARISON: Mapping[str, Check] = {**JUDGEMENT, **PATTERN, "plain_01": number(0, 1)}
EXPORT: Mapping[str, Check] = dict.fromkeys(
    ("judgements", "comparisons"), list_of(typed_object(), "objects", 0, 10_000)
)


def json_object(raw: bytes, headers: Mapping[bytes, bytes]) -> JsonObject:
    """The body as a JSON object. Raises `CallerError` saying what it is instead, with the place of a syntax error."""
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise CallerError(
            "Compressed request bodies are not supported; send plain JSON without 'content-encoding'.",
            code="unsupported_encoding",
        )
    if not raw:
        raise CallerError("The request body is empty; send a JSON object.", code="invalid_json")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise CallerError(_not_json(error, headers.get(b"content-type", b"")), code="invalid_json") from None
    if not isinstance(body, dict):
        raise CallerError(f"The request body must be a JSON object, but is {found(body)}.", code="invalid_type")
    return body


def chat_request(
    body: JsonObject,
    clock: Clock = SYSTEM_CLOCK,
    *,
    request_id: str | None = None,
    key_name: str | None = None,
    received_s: float | None = None,
    traceparent: bytes | None = None,
) -> ChatRequest:
    """The validated request. Takes `body` over: what is not a parameter for the models is removed from it.

    Without `request_id` and `received_s` (a reading of `clock`) the request is a new one, received now. Raises
    `CallerError` at the first problem.
    """
    _check_known(PARAMETERS, body)
    for required in ("model", "messages"):
        if required not in body:
            raise missing(required)
    model = body.pop("model")
    _MODEL("model", model)
    _check_messages(body["messages"])
    stream = body.pop("stream", None) is True
    return ChatRequest(
        request_id=new_request_id() if request_id is None else request_id,
        model=model,
        body=body,
        stream=stream,
        include_usage=_include_usage(body.pop("stream_options", None), stream),
        n=body.get("n") or 1,
        wishes=_wishes(body.pop("troupe", None)),
        key_name=key_name,
        received_s=clock.monotonic_s() if received_s is None else received_s,
        traceparent=None if traceparent is None else traceparent[:MAX_TRACEPARENT].decode("latin-1"),
    )


def feedback(body: JsonObject) -> Feedback:
    """The validated feedback. Raises `CallerError`, and `Unprocessable` when it judges nothing."""
    _check_known(FEEDBACK, body, closed=True)
    if body.get("request_id") is None:
        raise missing("request_id")
    if all(body.get(judgement) is None for judgement in JUDGEMENTS):
        raise Unprocessable(f"The feedback judges nothing: give at least one of {_listed(JUDGEMENTS)}.")
    return Feedback(**body)


def learned(body: JsonObject) -> list[Verdict | Trial]:
    """The judgements and comparisons of an export. Raises `CallerError`."""
    _check_known(EXPORT, body, closed=True)
    if body.get("judgements") is None:
        raise missing("judgements")
    _check_each("judgements", body["judgements"], JUDGEMENT, PATTERN)
    _check_each("comparisons", body.get("comparisons") or [], COMPARISON, {})
    return [
        *(Verdict(**{key: value for key, value in one.items() if value is not None}) for one in body["judgements"]),
        *(Trial(**one) for one in body.get("comparisons") or []),
    ]


def _check_each(name: str, given: Iterable[JsonObject], needed: Mapping[str, Check], more: Mapping[str, Check]) -> None:
    for place, one in enumerate(given):
        prefix = f"{name}[{place}]."
        _check_known({**needed, **more}, one, prefix, closed=True)
        for key in needed:
            if one.get(key) is None:
                raise missing(prefix + key)


def suggestion(wrong: str, names: Iterable[str]) -> str:
    """' Did you mean ...?' with up to three near names, or up to twenty of all when none is near."""
    known = list(names)
    near = difflib.get_close_matches(wrong[:256], known, n=3, cutoff=0.5)
    if near:
        return f" Did you mean {_listed(near)}?"
    return f" Available: {_listed(known[:20])}." if known else ""


_MODEL = label()
MAX_TRACEPARENT = 64  # 55 characters in the only version that there is


def _check_known(checks: Mapping[str, Check], given: JsonObject, prefix: str = "", *, closed: bool = False) -> None:
    """Applies each key's check; `null` means not given. `closed`: keys without a check are refused."""
    for key, value in given.items():
        check = checks.get(key)
        if check is not None:
            if value is not None:
                check(prefix + key, value)
        elif closed:
            raise unknown_key(prefix + key, suggestion(key, checks))


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array of messages", messages)
    if not messages:
        raise refused("messages", "a non-empty array of messages", "an empty one")
    for place, message in enumerate(messages):
        if type(message) is dict:
            role = message.get("role")
            if type(role) is str and role in ROLES and type(message.get("content")) is str:
                continue  # nearly all messages; the rest is looked at more closely
        _check_message(f"messages[{place}]", message)


def _check_message(place: str, message: object) -> None:
    if not isinstance(message, dict):
        raise wrong_type(place, "an object with 'role' and 'content'", message)
    if "role" not in message:
        raise missing(f"{place}.role")
    role = message["role"]
    if not isinstance(role, str):
        raise wrong_type(f"{place}.role", "a string", role)
    if role not in ROLES:
        raise refused(f"{place}.role", f"one of {_listed(sorted(ROLES))}", f"'{role[:32]}'")
    content = message.get("content")
    if content is None:
        if role not in MAY_BE_SILENT:
            raise wrong_type(f"{place}.content", _CONTENT, None)
    elif isinstance(content, list):
        _check_parts(f"{place}.content", content)
    elif not isinstance(content, str):
        raise wrong_type(f"{place}.content", _CONTENT, content)


_CONTENT = "a string or an array of content parts"


def _check_parts(place: str, parts: list[object]) -> None:
    if not parts:
        raise refused(place, "a string or a non-empty array of content parts", "an empty array")
    for index, part in enumerate(parts):
        _PART(f"{place}[{index}]", part)
        if isinstance(part, dict) and part["type"] == "text":
            _PART_TEXT(f"{place}[{index}]", part)


_PART = typed_object("type")
_PART_TEXT = typed_object("text")


def _include_usage(options: JsonObject | None, stream: bool) -> bool:
    if options is None:
        return False
    if not stream:
        raise CallerError("'stream_options' is only allowed with 'stream': true.", param="stream_options")
    for key, value in options.items():
        flag(f"stream_options.{key}", value)
        if key != "include_usage" and value:  # what is off already needs no support
            raise unknown_key(f"stream_options.{key}", suggestion(key, ["include_usage"]))
    return options.get("include_usage") is True


def _wishes(asked: JsonObject | None) -> Wishes:
    if not asked:
        return NO_WISHES
    _check_known(WISHES, asked, "troupe.", closed=True)
    members = asked.get("members")
    given = {"members": None if members is None else tuple(members), "prefer": _preference(asked.get("prefer"))}
    return Wishes(**{**asked, **given})


def _preference(asked: str | dict[str, float] | None) -> Preference | None:
    if asked is None or isinstance(asked, str):
        return None if asked is None else PREFERENCES[asked]
    _check_known(WEIGHTS, asked, "troupe.prefer.", closed=True)
    weights = {name: weight for name, weight in asked.items() if weight is not None}
    if not any(weights.values()):
        raise refused("troupe.prefer", "an object with a number above 0", "none")
    return Preference(**weights)


def _not_json(error: orjson.JSONDecodeError, content_type: bytes) -> str:
    reason = f"The request body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})."
    if content_type and b"json" not in content_type.lower():
        reason += f" Its content type is '{content_type[:64].decode('ascii', 'replace')}'."
    return reason


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{one}'" for one in names)
