"""Do the pieces of code in README.md and docs/ run as they stand there?"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.running_gateway import RunningGateway

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
HTTP_PAGE = (ROOT / "docs" / "http.md").read_text()
WRITTEN_URL = "http://127.0.0.1:8000"

# The company of the demo, by models that need no weights.
COMPANY = """
backends:
  smollm2: {provider: scripted, script: {replies: [{text: "35", logprob_mean: -0.7}]}, weight: 0.5}
  qwen-0.5b: {provider: scripted, script: {replies: [{text: "45", logprob_mean: -0.1}]}}
  qwen-1.5b: {provider: scripted, script: {replies: [{text: "45", logprob_mean: -0.05}]}, weight: 2}
models:
  company: {strategy: ensemble, members: [smollm2, qwen-0.5b, qwen-1.5b], quorum: 3}
"""


def blocks(language: str, holding: str) -> list[str]:
    """The README's pieces of code in a language that hold a text."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [block for block in found if holding in block]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("readme")
    config = folder / "company.yaml"
    config.write_text(COMPANY)
    running = RunningGateway(folder, config)
    try:
        yield running.start()
    finally:
        running.close()


def output_of(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_curl_line_gets_the_merged_answer(company: RunningGateway) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (line,) = blocks("sh", holding="curl")

    reply = json.loads(output_of(["bash", "-c", line.replace(WRITTEN_URL, company.url)]))

    assert reply["choices"][0]["message"]["content"] == "45"
    assert reply["troupe"]["ensemble"]["answered"] == 3


def test_the_openai_client_gets_the_answer_the_votes_and_a_stream(company: RunningGateway) -> None:
    (source,) = blocks("python", holding="from openai import OpenAI")

    first, *votes, streamed = output_of([sys.executable, "-c", source.replace(WRITTEN_URL, company.url)]).splitlines()

    assert first.startswith("45 0.")
    assert [vote.split()[:2] for vote in votes] == [["smollm2", "35"], ["qwen-0.5b", "45"], ["qwen-1.5b", "45"]]
    assert streamed == "45"


def test_a_script_reaches_the_company_by_handle(company: RunningGateway) -> None:
    (source,) = blocks("python", holding="from actors.client import connect")

    said, best, *outcomes = output_of([sys.executable, "-c", source.replace(WRITTEN_URL, company.url)]).splitlines()

    assert (said, best) == ("45", "qwen-1.5b")
    assert [outcome.partition("(")[0] for outcome in outcomes] == ["Answer"] * 3


def test_every_documented_path_is_answered(company: RunningGateway) -> None:
    routes = re.findall(r"^\| `(GET|POST) (/\S+)` \|", HTTP_PAGE, re.MULTILINE)

    request_id = company.post("company").json()["troupe"]["request_id"]

    with httpx.Client(base_url=company.url, trust_env=False, timeout=60) as client:
        answers = {
            (method, path): client.request(
                method, path.replace("{id}", "company").replace("{request_id}", request_id)
            ).status_code
            for method, path in routes
        }

    assert len(answers) == 16
    assert {path for path, status in answers.items() if status == 404} == set()
    assert {status for (method, _), status in answers.items() if method == "GET"} == {200}


def test_the_documented_feedback_is_taken(company: RunningGateway) -> None:
    (block,) = re.findall(r"^```json\n(.*?)^```$", HTTP_PAGE, re.MULTILINE | re.DOTALL)
    request_id = company.post("company").json()["troupe"]["request_id"]

    reply = company.http.post("/v1/feedback", json={**json.loads(block), "request_id": request_id})

    assert (reply.status_code, reply.json()) == (200, {"request_id": request_id, "status": "new"})
