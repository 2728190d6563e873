"""Switchboard: which port leads to a backend, its actor or the upstream itself; a part of each replica."""

import asyncio
from collections.abc import Awaitable, Callable

from actors.protocol.ports import ModelPort, Provider
from actors.routing.table import BackendRecord, Lease


class Switchboard:
    """Calls a hosted model through its actor, and every other one under its lease, as long as that stays the same.

    `hosted` makes a port to a backend's actor; `direct` a provider of our own for a base URL and a credential. A
    provider whose lease was replaced is closed after `longest_call_s`, when no call can run on it any more.
    """

    def __init__(
        self,
        hosted: Callable[[str], ModelPort],
        direct: Callable[[BackendRecord, str, str | None], Provider],
        longest_call_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._make_hosted = hosted
        self._make_direct = direct
        self._longest_call_s = longest_call_s
        self._sleep = sleep
        self._hosted: dict[str, ModelPort] = {}
        self._direct: dict[str, tuple[Lease, Provider]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def port_for(self, backend: BackendRecord) -> ModelPort:
        """The same port for as long as the backend's lease stays the same."""
        lease = backend.lease
        if lease is None or lease.base_url is None:
            if backend.name not in self._hosted:
                self._hosted[backend.name] = self._make_hosted(backend.name)
            return self._hosted[backend.name]
        known = self._direct.get(backend.name)
        if known is not None and known[0] == lease:
            return known[1]
        provider = self._make_direct(backend, lease.base_url, lease.api_key)
        self._direct[backend.name] = (lease, provider)
        if known is not None:
            self._retire(known[1])
        return provider

    def _retire(self, provider: Provider) -> None:
        async def close() -> None:
            await self._sleep(self._longest_call_s)
            await provider.aclose()

        closing = asyncio.create_task(close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
