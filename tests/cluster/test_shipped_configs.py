"""Do the configurations that ship with the project start and answer?"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from actors.providers.catalogue_view import pull_with_progress
from tests.cluster.test_instances import own_addresses
from tests.support.running_gateway import RunningGateway
from tests.support.single import Start, start
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
FRANCE = "What is the capital of France? One word."


def content(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    return str(reply.json()["choices"][0]["message"]["content"])


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
    kinds = [row["kind"] for row in gateway.status()["actors"]]
    assert kinds.count("ensemble") == 2
    port = gateway.url.rpartition(":")[2]
    for address in own_addresses():
        reply = httpx.get(f"http://{address}:{port}/v1/models", trust_env=False, timeout=20)
        assert reply.status_code == 401


class TestSmallDemo:
    """Real weights: SmolLM2-135M and Qwen2.5-Coder-0.5B."""

    @pytest.fixture(scope="class")
    def demo(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
        pull_with_progress(["smollm2-135m", "qwen2.5-coder-0.5b"])
        folder = tmp_path_factory.mktemp("demo")
        shutil.copy(CLUSTER / "demo-small.yaml", folder)
        gateway = RunningGateway(folder, folder / "demo-small.yaml")
        try:
            yield gateway.start()
        finally:
            gateway.close()

    def test_each_model_lives_in_a_process_of_its_own(self, demo: RunningGateway) -> None:
        pids = [row["pid"] for row in demo.status()["actors"] if row["kind"] == "backend"]

        assert len(set(pids)) == 2
        assert os.getpid() not in pids
        for pid in pids:
            mapped = {Path(one.path).suffix for one in psutil.Process(pid).memory_maps()}
            assert ".gguf" in mapped or psutil.Process(pid).memory_info().rss > 150_000_000

    def test_a_model_answers_with_its_own_exact_usage(self, demo: RunningGateway) -> None:
        reply = demo.post("smollm2", FRANCE, temperature=0, max_tokens=16)

        assert "Paris" in content(reply)
        # The runtime's own counts of the templated prompt, which no counting of words gives.
        assert reply.json()["usage"]["prompt_tokens"] > 2 * len(FRANCE.split())
        assert 0 < reply.json()["usage"]["completion_tokens"] <= 16

    def test_a_stream_of_a_model_comes_in_many_pieces(self, demo: RunningGateway) -> None:
        reply = demo.post("smollm2", "Count from one to twenty.", stream=True, max_tokens=40)

        assert reply.text.count('"content":"') > 2
        assert reply.text.endswith("data: [DONE]\n\n")

    def test_both_models_answer_together(self, demo: RunningGateway) -> None:
        reply = demo.post("company", FRANCE, temperature=0, max_tokens=16)

        troupe = reply.json()["troupe"]
        assert "Paris" in content(reply)
        assert (troupe["ensemble"]["asked"], troupe["ensemble"]["answered"]) == (2, 2)
        assert {vote["backend"] for vote in troupe["ensemble"]["votes"]} == {"smollm2", "qwen-0.5b"}
        assert all(usage["completion_tokens"] > 0 for usage in troupe["usage"].values())
        assert 0 < troupe["ensemble"]["confidence_01"] <= 1
