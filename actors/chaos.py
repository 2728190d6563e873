"""Chaos: the processes of one's own gateway are killed or stopped in turn while it is asked. What did that do?"""

import asyncio
import os
import signal
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field

import aiohttp
from rich.console import Console
from rich.prompt import Confirm
from rich.table import Table

from actors.client import Troupe, connect
from actors.edge.http_client import GatewayClient
from actors.protocol.clock import SYSTEM_CLOCK
from actors.protocol.errors import LLMError
from actors.protocol.messages import JsonObject

KINDS = ("backend", "router", "optimizer", "tracer", "supervisor", "ensemble")
BEFORE_S = 2.0
AFTER_S = 2.0
BACK_WITHIN_S = 60.0
LOOK_EVERY_S = 0.25
FEEDBACK_EVERY = 10  # answers
ANSWER_WITHIN_S = 60.0
QUESTION = "What is 6 times 7? Answer with a number."


@dataclass(slots=True)
class Seen:
    """What callers saw. `gaps_s`: between one success and the next; `judged`: feedback that was acknowledged."""

    sent: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    last_s: float | None = None
    longest_gap_s: float = 0.0
    judged: int = 0

    def succeed(self) -> None:
        now_s = SYSTEM_CLOCK.monotonic_s()
        if self.last_s is not None:
            self.longest_gap_s = max(self.longest_gap_s, now_s - self.last_s)
        self.last_s = now_s

    def fail(self, reason: str) -> None:
        self.failures[reason] = self.failures.get(reason, 0) + 1

    @property
    def failed(self) -> int:
        return sum(self.failures.values())


@dataclass(frozen=True, slots=True)
class Strike:
    """What one strike did. `back_s`: until the actor was alive in another process, `None` if it was not in time.

    `lost`: acknowledged feedback that is not known any more.
    """

    actor: str
    how: str
    sent: int
    failed: int
    failures: dict[str, int]
    longest_gap_s: float
    back_s: float | None
    lost: int


class Callers:
    """Asks a gateway so often a second, whether answers come or not, until it is told to stop."""

    def __init__(self, url: str, api_key: str | None, model: str, per_s: float) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._body = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
        self._pause_s = 1.0 / per_s
        self.seen = Seen()

    async def ask_until(self, over: asyncio.Event) -> None:
        """Returns when all that was asked has been answered."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            aiohttp.ClientSession(headers=self._headers, timeout=timeout, connector=connector) as session,
            asyncio.TaskGroup() as asking,
        ):
            while not over.is_set():
                self.seen.sent += 1
                asking.create_task(self._ask(session, judge=self.seen.sent % FEEDBACK_EVERY == 0))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s):
                        await over.wait()

    async def _ask(self, session: aiohttp.ClientSession, judge: bool) -> None:
        try:
            async with session.post(f"{self._url}/v1/chat/completions", json=self._body) as reply:
                told = await reply.json()
                if reply.status != 200:
                    self.seen.fail(f"{reply.status} {told['error']['code']}")
                    return
            self.seen.succeed()
            if judge:
                await self._judge(session, told["troupe"]["request_id"])
        except TimeoutError:
            self.seen.fail("no answer")
        except (aiohttp.ClientError, OSError, ValueError, KeyError, TypeError):
            self.seen.fail("connection lost")

    async def _judge(self, session: aiohttp.ClientSession, request_id: str) -> None:
        feedback = {"request_id": request_id, "correct": True}
        with suppress(aiohttp.ClientError, OSError):
            async with session.post(f"{self._url}/v1/feedback", json=feedback) as reply:
                self.seen.judged += reply.status == 200


class Chaos:
    """Strikes one actor after another of a running gateway. `strike` does it to a row of its status."""

    def __init__(
        self, gateway: GatewayClient, callers: Callable[[], Callers], strike: Callable[[JsonObject, bool], None]
    ) -> None:
        self._gateway = gateway
        self._callers = callers
        self._strike = strike
        self._number: Counter[str] = Counter()

    def targets(self, kinds: Sequence[str]) -> list[str]:
        """The names of the actors of these kinds."""
        rows = self._gateway.get("/api/status")["actors"]
        self._number = Counter(row["kind"] for row in rows)
        return [row["name"] for row in rows if row["kind"] in kinds]

    async def strike(self, name: str, hang: bool) -> Strike:
        """Kills one actor's process, or stops it, while the gateway is asked. Raises `LLMError`."""
        await self._all_alive()
        before = await self._row(name)
        if before is None:
            raise LLMError(f"There is no actor '{name}' any more.")
        known = await self._acknowledged()
        callers, over = self._callers(), asyncio.Event()
        asking = asyncio.create_task(callers.ask_until(over))
        try:
            await asyncio.sleep(BEFORE_S)
            began_s = SYSTEM_CLOCK.monotonic_s()
            self._strike(before, hang)
            back_s = await self._back(before, began_s)
            await asyncio.sleep(AFTER_S)
        finally:
            over.set()
            await asking
        seen = callers.seen
        lost = max(0, known + seen.judged - await self._acknowledged())
        how = "SIGSTOP" if hang else "SIGKILL"
        return Strike(name, how, seen.sent, seen.failed, seen.failures, seen.longest_gap_s, back_s, lost)

    async def _back(self, before: JsonObject, began_s: float) -> float | None:
        """Seconds until as many of its kind as before are alive, and not in the process that was struck."""
        while SYSTEM_CLOCK.monotonic_s() - began_s < BACK_WITHIN_S:
            rows = await self._rows()
            pids = {row["pid"] for row in rows if row["kind"] == before["kind"] and row["state"] == "alive"}
            if before["pid"] not in pids and len(pids) == self._number[before["kind"]]:
                return SYSTEM_CLOCK.monotonic_s() - began_s
            await asyncio.sleep(LOOK_EVERY_S)
        return None

    async def _is_whole(self) -> bool:
        return all(row["state"] == "alive" for row in await self._rows())

    async def _all_alive(self) -> None:
        deadline_s = SYSTEM_CLOCK.monotonic_s() + BACK_WITHIN_S
        while not await self._is_whole():
            if SYSTEM_CLOCK.monotonic_s() > deadline_s:
                raise LLMError("Not every actor of the gateway is alive (see: troupe status).")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _rows(self) -> list[JsonObject]:
        try:
            told = await asyncio.to_thread(self._gateway.get, "/api/status")
        except LLMError:  # the only replica is away
            return []
        rows: list[JsonObject] = told["actors"]
        return rows

    async def _row(self, name: str) -> JsonObject | None:
        return next((row for row in await self._rows() if row["name"] == name), None)

    async def _acknowledged(self) -> int:
        told = await asyncio.to_thread(self._gateway.get, "/api/optimizer")
        return int(told["feedback"]["acknowledged"])


def strike_process(troupe: Troupe) -> Callable[[JsonObject, bool], None]:
    """Signals the process of a status row on this machine; an actor elsewhere is killed through Ray."""

    def strike(row: JsonObject, hang: bool) -> None:
        if row["node"] == socket.gethostname():
            try:
                os.kill(row["pid"], signal.SIGSTOP if hang else signal.SIGKILL)
            except ProcessLookupError:
                raise LLMError(f"'{row['name']}' has just ended by itself; try again in a moment.") from None
        elif hang or row["kind"] == "ensemble":
            raise LLMError(
                f"'{row['name']}' runs on {row['node']}, where it can only be killed, and no replica at all."
            )
        else:
            troupe.kill(row["name"])

    return strike


def play(
    url: str,
    api_key: str | None,
    model: str | None,
    per_s: float,
    kinds: Sequence[str],
    hang: bool,
    yes: bool,
    console: Console,
) -> list[Strike]:
    """Asks for leave, strikes each actor of these kinds once, and returns what that did. Raises `LLMError`."""
    with GatewayClient(url, api_key) as gateway:
        asked = model or gateway.models()[0]
        chaos = Chaos(
            gateway, lambda: Callers(url, api_key, asked, per_s), strike_process(connect(url, api_key=api_key))
        )
        targets = chaos.targets(kinds)
        verb = "stops" if hang else "kills"
        console.print(
            f"This {verb} {len(targets)} processes of {url} in turn and asks '{asked}' {per_s:g} times a second."
        )
        if not yes and not Confirm.ask("Do it?", console=console, default=False):
            return []
        strikes = []
        for number, name in enumerate(targets, 1):
            console.print(f"{number}/{len(targets)}  {name}")
            strikes.append(asyncio.run(chaos.strike(name, hang)))
        return strikes


def table(strikes: Sequence[Strike]) -> Table:
    """One row per strike."""
    shown = Table("actor", "signal", "sent", "failed", "longest gap", "back after", "feedback lost", "failures")
    for one in strikes:
        failures = ", ".join(f"{count} x {reason}" for reason, count in one.failures.items())
        back = "not in time" if one.back_s is None else f"{one.back_s:.1f} s"
        shown.add_row(
            one.actor,
            one.how,
            str(one.sent),
            str(one.failed),
            f"{one.longest_gap_s:.2f} s",
            back,
            str(one.lost),
            failures,
        )
    return shown


def as_json(strikes: Sequence[Strike]) -> list[JsonObject]:
    """The same for programs."""
    return [asdict(one) for one in strikes]
