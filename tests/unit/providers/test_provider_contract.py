"""Do the providers that need no weights keep the contract?"""

from collections.abc import AsyncGenerator

import pytest
from aiohttp import web

from actors.protocol.messages import Call
from actors.providers.openai import OpenAI
from actors.providers.scripted import Scripted
from tests.unit.providers.contract_suite import ProviderContract, Subject
from tests.unit.providers.upstream_server import answer, completion, event, events, serving, silence, whole

TEXT = "four words of text"


def call(question: str) -> Call:
    return Call("r1", {"messages": [{"role": "user", "content": question}]}, 5.0)


async def upstream(request: web.Request) -> web.StreamResponse:
    """An upstream that answers, hangs or refuses, as it is asked."""
    body = await request.json()
    question = body["messages"][-1]["content"]
    if question == "in vain":
        return await whole({"error": {"message": "no", "param": "messages"}}, status=400)(request)
    if question == "long":
        streaming = events([event({"content": "and"}), event({"content": " so on"})], "silence")
        return await (streaming if body.get("stream") else silence)(request)
    return await (events(answer(TEXT)) if body.get("stream") else whole(completion(TEXT)))(request)


class TestOpenAI(ProviderContract):
    @pytest.fixture
    async def subject(self) -> AsyncGenerator[Subject, None]:
        async with serving(upstream) as server:
            provider = OpenAI("far", server.base_url, "key", "upstream-model")
            yield Subject(
                provider,
                call("short"),
                call("long"),
                call("in vain"),
                running=lambda: server.open_requests,
                completions=lambda: server.completions,
            )
            await provider.aclose()


class TestScripted(ProviderContract):
    @pytest.fixture
    async def subject(self) -> Subject:
        replies = [
            {"match": "long", "text": TEXT, "fault": {"kind": "stall", "after_tokens": 1}},
            {"match": "in vain", "fault": {"kind": "error", "status": 400}},
            TEXT,
        ]
        provider = Scripted("fake", {"replies": replies})
        await provider.start()
        return Subject(
            provider,
            call("short"),
            call("long"),
            call("in vain"),
            running=lambda: provider.stats().in_flight,
            completions=lambda: provider.stats().calls,
        )
