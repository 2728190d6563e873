import warnings
from collections.abc import Iterator

import pytest
import ray

from tests.support.running_gateway import RunningGateway

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray Serve, when it is imported, uses what pydantic has deprecated
    from actors.client import Troupe, connect


@pytest.fixture(scope="module")
def troupe(gateway: RunningGateway) -> Iterator[Troupe]:
    """The shared gateway's company by handle; this process is a driver on its Ray until the module ends."""
    try:
        yield connect(gateway.url, api_key=gateway.api_key)
    finally:
        ray.shutdown()
