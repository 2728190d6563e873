"""Which part of a request may be put in another way, and how is it put back?"""

from collections.abc import Mapping
from typing import Any, Final

from actors.protocol.messages import JsonObject

BOUND_TO_THE_TEXT: Final = (
    "tools",
    "functions",
    "response_format",
    "modalities",
    "audio",
    "prediction",
    "web_search_options",
    "logit_bias",
    "logprobs",
)
"""A request with one of these asks for more than an answer in words; it is left as it is."""


def question_of(body: Mapping[str, Any]) -> str | None:
    """The user's last text, `None` where it must stay as it is: nothing else of the request is ever touched.

    It stays where the conversation does not end with it, where it is more than text, and where the request asks for
    tools, a structured format, or anything else that depends on its exact words.
    """
    if any(body.get(name) is not None for name in BOUND_TO_THE_TEXT):
        return None
    last = body["messages"][-1]
    content = last.get("content")
    return content if last.get("role") == "user" and isinstance(content, str) and content else None


def with_question(body: JsonObject, text: str) -> JsonObject:
    """The request with the user's last text replaced; the one that is given stays as it is."""
    messages = list(body["messages"])
    place = max(place for place, message in enumerate(messages) if message.get("role") == "user")
    messages[place] = {**messages[place], "content": text}
    return {**body, "messages": messages}


def max_tokens_of(body: Mapping[str, Any]) -> int | None:
    """The caller's limit for the answer, if there is one."""
    limit: int | None = body.get("max_completion_tokens") or body.get("max_tokens")
    return limit
