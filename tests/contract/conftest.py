from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.support.running_gateway import RunningGateway


@pytest.fixture(scope="module")
def client(gateway: RunningGateway) -> Iterator[OpenAI]:
    """The official client; it repeats nothing by itself."""
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.api_key, max_retries=0, timeout=60) as made:
        yield made
