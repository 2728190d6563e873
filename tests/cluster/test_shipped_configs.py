"""Do the configurations that ship with the project start and answer?"""

from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.cluster.test_instances import own_addresses
from tests.support.running_gateway import wait_until
from tests.support.single import Start, content, start
from tests.support.upstream_thread import TEXT
from tests.unit.providers.upstream_server import UpstreamServer

__all__ = ["start"]  # a fixture

CLUSTER = Path(__file__).parents[2] / "cluster"
KEYS = {
    name: f"sk-test-key-{name}"
    for name in (
        "TROUPE_APPLICATION_KEY",
        "TROUPE_OPERATIONS_KEY",
        "OPENAI_API_KEY",
        "MISTRAL_API_KEY",
        "GROQ_API_KEY",
    )
}


def redirected(name: str, folder: Path, upstream: UpstreamServer) -> Path:
    """A shipped configuration, with every upstream's address changed to that of the local one."""
    config: dict[str, Any] = yaml.safe_load((CLUSTER / name).read_text())
    for backend in config["backends"].values():
        if "base_url" in backend:
            backend["base_url"] = upstream.base_url
    path = folder / name
    path.write_text(yaml.safe_dump(config))
    return path


def test_the_local_example_answers_with_the_model_server_of_this_machine(
    start: Start, tmp_path: Path, upstream: UpstreamServer
) -> None:
    gateway = start(redirected("local.yaml", tmp_path, upstream))

    assert content(gateway.post("assistant")) == TEXT
    assert content(gateway.post("apology")).startswith("I am sorry")


def test_the_production_example_serves_its_key_holders_from_everywhere(
    start: Start, tmp_path: Path, upstream: UpstreamServer
) -> None:
    gateway = start(
        redirected("production.yaml", tmp_path, upstream), environment=KEYS, api_key=KEYS["TROUPE_OPERATIONS_KEY"]
    )

    council = gateway.post("council")
    assert content(council) == TEXT
    assert council.json()["troupe"]["ensemble"]["answered"] >= 2
    assert content(gateway.post("economical")) == TEXT
    # It is ready, and answers, as soon as the first of its two replicas is.
    wait_until(lambda: [row["kind"] for row in gateway.status()["actors"]].count("ensemble") == 2, 30)
    port = gateway.url.rpartition(":")[2]
    for address in own_addresses():
        reply = httpx.get(f"http://{address}:{port}/v1/models", trust_env=False, timeout=20)
        assert reply.status_code == 401
