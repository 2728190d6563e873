"""Whatever a provider does wrong, is the caller told no lie, and given the whole answer where that is possible?

With FAULTS_URL set, the gateway at that address is judged instead of one of our own: its provider must be what
`python -m tests.faults serve` runs, with one model per fault (`python -m tests.faults config` prints ours).
"""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.cases import FAULTS
from tests.faults.config import config
from tests.faults.judging import Verdict, all_asked
from tests.faults.provider import FaultyProvider, faulty_provider
from tests.support.running_gateway import RunningGateway

URL = os.environ.get("FAULTS_URL")
EACH = [(name, stream) for name, fault in FAULTS.items() for stream in (True, False) if stream or fault.whole]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of all faults. `provider` is `None` where it is somebody else's; `left_open`: requests it still ran."""

    verdicts: dict[tuple[str, bool], Verdict]
    provider: FaultyProvider | None
    left_open: int = 0


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return asyncio.run(play_at(URL)) if URL else asyncio.run(play_ours(tmp_path_factory.mktemp("faults")))


async def play_at(url: str) -> Played:
    return Played(await all_asked(url, os.environ.get("FAULTS_KEY")), None)


async def play_ours(folder: Path) -> Played:
    async with faulty_provider() as provider:
        path = folder / "faults.yaml"
        path.write_text(config(provider.base_url, provider.tls_url))
        gateway = RunningGateway(folder, path)
        try:
            await asyncio.to_thread(gateway.start)
            verdicts = await all_asked(gateway.url)
            await asyncio.sleep(0.1)
            return Played(verdicts, provider, provider.open_requests)
        finally:
            await asyncio.to_thread(gateway.close)


@pytest.mark.parametrize(("name", "stream"), EACH, ids=[f"{name}-{'stream' if s else 'whole'}" for name, s in EACH])
def test_the_caller_sees_what_it_should(played: Played, name: str, stream: bool) -> None:
    fault, verdict = FAULTS[name], played.verdicts[name, stream]

    assert verdict.seen == fault.expected, verdict
    assert fault.least_s <= verdict.took_s < fault.most_s
    if played.provider is not None:
        assert played.provider.calls[name, verdict.question] <= fault.calls


@pytest.mark.skipif(URL is not None, reason="the provider is somebody else's")
def test_failed_attempts_are_listed_and_the_model_that_answered_is_named(played: Played) -> None:
    told = played.verdicts["503-forever", False].troupe

    assert told is not None
    assert told["backend"] == "good"
    assert [attempt["backend"] for attempt in told["attempts"]] == ["bad-503-forever"] * 3 + ["good"]
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["backend_unavailable"] * 3 + ["ok"]


@pytest.mark.skipif(URL is not None, reason="the provider is somebody else's")
def test_no_request_is_left_open_upstream(played: Played) -> None:
    assert played.left_open == 0
