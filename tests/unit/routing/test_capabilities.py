"""Is a backend left out only where it surely cannot take the request?"""

from dataclasses import replace
from typing import Any

import pytest

from actors.routing.capabilities import Needs, needs_of
from actors.routing.table import BackendRecord, Supports

PLAIN = BackendRecord("b", "openai", "m", hosted=False, supports=Supports(tools=False, vision=False))
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def asking(content: Any, **parameters: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **parameters}


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        (asking("x" * 60), Needs(least_tokens=10)),
        (asking([{"type": "text", "text": "x" * 60}, IMAGE]), Needs(vision=True, least_tokens=10)),
        (asking("", tools=[{"type": "function"}]), Needs(tools=True)),
        (asking("", tools=[]), Needs()),
        ({"messages": [{"role": "assistant", "content": None}, "odd"]}, Needs()),
        ({}, Needs()),
    ],
)
def test_a_request_needs_what_it_holds(body: dict[str, Any], needs: Needs) -> None:
    assert needs_of(body) == needs


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (Needs(tools=True), "it does not support tools"),
        (Needs(vision=True), "it does not support images (supports.vision)"),
        (Needs(least_tokens=101), "its context window of 100 tokens is too small"),
        (Needs(least_tokens=100), None),
    ],
)
def test_what_a_backend_lacks_is_told(needs: Needs, said: str | None) -> None:
    assert needs.unmet_by(replace(PLAIN, context_window=100)) == said


def test_a_window_that_is_not_declared_is_wide_enough() -> None:
    assert Needs(least_tokens=10**9).unmet_by(PLAIN) is None
