"""A provider that misbehaves on demand: the model's name says how."""

import asyncio
import logging
import ssl
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.faults.cases import FAULTS, GOOD, GOOD_STREAM, OTHER, _answer

OTHER_STREAM, OTHER_WHOLE = _answer(OTHER)


@dataclass(slots=True)
class FaultyProvider:
    """What it was asked: how often each model, for each question; and how many requests are open."""

    base_url: str = ""
    tls_url: str = ""
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    last_s: dict[tuple[str, str], float] = field(default_factory=dict)
    open_requests: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        if request.path.endswith("/models"):
            return web.json_response({"object": "list", "data": []})
        body = orjson.loads(raw)
        model, question = body["model"], body["messages"][-1]["content"]
        self.calls[model, question] += 1
        self.last_s[model, question] = time.monotonic()
        self.open_requests += 1
        try:
            behave = self._behaviour(model, bool(body.get("stream")), self.calls[model, question])
            return await behave(request)  # type: ignore[no-any-return,operator]
        finally:
            self.open_requests -= 1

    def _behaviour(self, model: str, stream: bool, call: int) -> object:
        if model == "good":
            return GOOD_STREAM if stream else GOOD
        if model == "other":
            return OTHER_STREAM if stream else OTHER_WHOLE
        plan = FAULTS[model].stream if stream else FAULTS[model].whole
        return plan[min(call, len(plan)) - 1]


@asynccontextmanager
async def faulty_provider(port: int = 0, host: str = "127.0.0.1") -> AsyncGenerator[FaultyProvider, None]:
    """A provider on a port of this machine, with a second one for TLS, for as long as the block runs."""
    provider = FaultyProvider()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", provider.answer)
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # those who talk TLS to it break off, which is the point
    try:
        with tempfile.TemporaryDirectory() as folder:
            await web.TCPSite(runner, host, port).start()
            await web.TCPSite(runner, host, 0, ssl_context=_untrusted(Path(folder))).start()
            (_, plain), (_, secure) = (address[:2] for address in runner.addresses)
            provider.base_url = f"http://{host}:{plain}/v1"
            provider.tls_url = f"https://{host}:{secure}/v1"
            yield provider
    finally:
        await runner.cleanup()


def _untrusted(folder: Path) -> ssl.SSLContext:
    """A context with a certificate that nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = folder / "both.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context
