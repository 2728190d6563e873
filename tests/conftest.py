"""The one gateway that most tests of the contract and cluster rings share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.running_gateway import RunningGateway
from tests.support.upstream_thread import upstream_in_thread
from tests.unit.providers.upstream_server import UpstreamServer

settings.register_profile("steady", deadline=None)  # how long an example takes says nothing on a busy machine
settings.load_profile("steady")

COMPANY = Path(__file__).parent / "support" / "company.yaml"
KEY = "sk-test-key-of-callers"
UPSTREAM_KEY = "sk-test-key-of-upstream"


@pytest.fixture(scope="session")
def upstream() -> Iterator[UpstreamServer]:
    """What the backend `far` calls."""
    with upstream_in_thread() as server:
        yield server


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: UpstreamServer) -> Iterator[RunningGateway]:
    """A gateway with the company of `support/company.yaml`; it asks for `KEY`."""
    environment = {
        "TROUPE_TEST_KEY": KEY,
        "TROUPE_TEST_UPSTREAM": upstream.base_url,
        "TROUPE_TEST_UPSTREAM_KEY": UPSTREAM_KEY,
        "TROUPE_LOG": "DEBUG",
    }
    folder = tmp_path_factory.mktemp("company")
    running = RunningGateway(folder, COMPANY, environment=environment, api_key=KEY)
    try:
        yield running.start()
    finally:
        running.close()
