"""How do our own commands talk to a running gateway?"""

import os
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import httpx
import orjson

from actors.protocol.errors import BackendUnavailable, LLMError
from actors.protocol.hosts import is_loopback
from actors.protocol.messages import JsonObject


class GatewayClient:
    """A small client of one gateway. Everything that goes wrong is an `LLMError` with a message for a person."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        key = api_key or os.environ.get("TROUPE_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._url = url.rstrip("/")
        timeout = httpx.Timeout(10, read=300)
        # A proxy of the environment cannot reach what listens on this machine alone.
        proxies = not is_loopback(httpx.URL(self._url).host)
        self._http = httpx.Client(base_url=self._url, headers=headers, timeout=timeout, trust_env=proxies)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str) -> JsonObject:
        """The JSON at a path."""
        try:
            reply = self._http.get(path)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        return self._checked(reply)

    def post(self, path: str, body: JsonObject) -> JsonObject:
        """The JSON that comes back."""
        try:
            reply = self._http.post(path, json=body)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        return self._checked(reply)

    def models(self) -> list[str]:
        """The names that can be asked, models first."""
        return [model["id"] for model in self.get("/v1/models")["data"]]

    def backends(self) -> list[str]:
        """Those of the names that are a single backend."""
        told = self.get("/v1/models")["data"]
        return [model["id"] for model in told if model["troupe"]["kind"] == "backend"]

    def complete(self, model: str, text: str, **parameters: object) -> JsonObject:
        """The whole reply to one user message."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **parameters}
        try:
            reply = self._http.post("/v1/chat/completions", json=body)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        return self._checked(reply)

    def stream(self, model: str, text: str) -> Iterator[tuple[str, JsonObject | None]]:
        """The answer to one user message piece by piece, each with the `troupe` object if its event had one."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True}
        try:
            with self._http.stream("POST", "/v1/chat/completions", json=body) as reply:
                if reply.status_code >= 400:
                    reply.read()
                    self._checked(reply)
                yield from _pieces(reply)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: httpx.HTTPError) -> LLMError:
        return BackendUnavailable(f"No gateway answers at {self._url} ({type(error).__name__}).")

    def _checked(self, reply: httpx.Response) -> JsonObject:
        try:
            body: JsonObject = orjson.loads(reply.content)
        except orjson.JSONDecodeError:
            raise BackendUnavailable(f"What answers at {self._url} is not a gateway of this kind.") from None
        if reply.status_code >= 400:
            raise LLMError(_message(body, reply.status_code))
        return body


def _pieces(reply: httpx.Response) -> Iterator[tuple[str, JsonObject | None]]:
    for line in reply.iter_lines():
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        event: JsonObject = orjson.loads(line.removeprefix("data: "))
        if "error" in event:
            raise LLMError(_message(event, 502))
        choices = event.get("choices") or [{}]
        yield choices[0].get("delta", {}).get("content") or "", event.get("troupe")


def _message(body: JsonObject, status: int) -> str:
    error = body.get("error")
    return str(error.get("message")) if isinstance(error, dict) else f"HTTP status {status}"
