"""Does the small demo answer with real local models? SmolLM2-135M and Qwen2.5-Coder-0.5B."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from actors.providers.catalogue_view import pull_with_progress
from tests.support.running_gateway import RunningGateway
from tests.support.single import content

CONFIG = Path(__file__).parents[2] / "cluster" / "demo-small.yaml"
FRANCE = "What is the capital of France? One word."


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    pull_with_progress(["smollm2-135m", "qwen2.5-coder-0.5b"])
    folder = tmp_path_factory.mktemp("demo")
    gateway = RunningGateway(folder, CONFIG)
    try:
        yield gateway.start()
    finally:
        gateway.close()


def test_each_model_lives_in_a_process_of_its_own(demo: RunningGateway) -> None:
    pids = [row["pid"] for row in demo.status()["actors"] if row["kind"] == "backend"]

    assert len(set(pids)) == 2
    assert os.getpid() not in pids
    for pid in pids:
        mapped = {Path(one.path).suffix for one in psutil.Process(pid).memory_maps()}
        assert ".gguf" in mapped or psutil.Process(pid).memory_info().rss > 150_000_000


def test_a_model_answers_with_its_own_exact_usage(demo: RunningGateway) -> None:
    reply = demo.post("smollm2", FRANCE, temperature=0, max_tokens=16)

    assert "Paris" in content(reply)
    # The runtime's own counts of the templated prompt, which no counting of words gives.
    assert reply.json()["usage"]["prompt_tokens"] > 2 * len(FRANCE.split())
    assert 0 < reply.json()["usage"]["completion_tokens"] <= 16


def test_a_stream_of_a_model_comes_in_many_pieces(demo: RunningGateway) -> None:
    reply = demo.post("smollm2", "Count from one to twenty.", stream=True, max_tokens=40)

    assert reply.text.count('"content":"') > 2
    assert reply.text.endswith("data: [DONE]\n\n")


def test_both_models_answer_together(demo: RunningGateway) -> None:
    reply = demo.post("company", FRANCE, temperature=0, max_tokens=16)

    troupe = reply.json()["troupe"]
    assert "Paris" in content(reply)
    assert (troupe["ensemble"]["asked"], troupe["ensemble"]["answered"]) == (2, 2)
    assert {vote["backend"] for vote in troupe["ensemble"]["votes"]} == {"smollm2", "qwen-0.5b"}
    assert all(usage["completion_tokens"] > 0 for usage in troupe["usage"].values())
    assert 0 < troupe["ensemble"]["confidence_01"] <= 1
