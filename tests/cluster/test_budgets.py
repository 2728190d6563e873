"""Can callers who race at two replicas spend more than the day's budget?"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.running_gateway import RunningGateway, wait_until

COST_USD = 0.001  # one token at 1,000 USD a million
BUDGET_USD = 0.04
UNSPENDABLE_USD = 4 * COST_USD  # what is left in slices that are each too small for a request
COMPANY = f"""
server:
  replicas: 2
  api_keys:
    - {{name: ann, key: sk-ann, budget_usd_per_day: {BUDGET_USD}}}
    - {{name: bob, key: sk-bob}}
backends:
  dear: {{provider: scripted, script: {{reply: "42"}}, price: {{input_per_mtok: 0, output_per_mtok: 1000}}}}
"""
QUESTION = {"model": "dear", "max_tokens": 1, "messages": [{"role": "user", "content": "How much is 6 times 7?"}]}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("budgets")
    config = folder / "company.yaml"
    config.write_text(COMPANY)
    running = RunningGateway(folder, config, api_key="sk-bob")
    try:
        yield running.start()
    finally:
        running.close()


def test_racing_callers_never_overrun_the_budget_and_can_spend_it(company: RunningGateway) -> None:
    answers: Counter[tuple[int, str | None]] = Counter()
    with httpx.Client(
        base_url=company.url, headers={"authorization": "Bearer sk-ann"}, trust_env=False, timeout=60
    ) as ann:

        def ask(_: int) -> tuple[int, str | None]:
            reply = ann.post("/v1/chat/completions", json=QUESTION)
            return reply.status_code, reply.json().get("error", {}).get("code")

        def all_spent() -> bool:
            with ThreadPoolExecutor(16) as callers:
                answers.update(callers.map(ask, range(32)))
            return answers[200, None] * COST_USD >= BUDGET_USD - UNSPENDABLE_USD

        try:
            wait_until(all_spent, 30, every_s=0.5)
        except TimeoutError:
            pytest.fail(f"It could not be spent: {answers}, {company.http.get('/api/usage').json()['budgets']}")

    def usage() -> dict[str, Any]:
        told: dict[str, Any] = company.http.get("/api/usage").raise_for_status().json()
        return told

    refused = answers[429, "insufficient_quota"]
    # The other replica tells within 0.1 s, and once a second the tracer looks whether somebody should be warned.
    wait_until(lambda: (usage()["budgets"][0]["refused"], usage()["budgets"][0]["alert_01"]) == (refused, 1.0), 10)
    (budget,) = usage()["budgets"]
    ann_used = next(row for row in usage()["keys"] if row["key"] == "ann")
    assert answers[200, None] <= BUDGET_USD / COST_USD
    assert refused > 0
    assert {code for _, code in answers} <= {None, "insufficient_quota", "overloaded"}
    assert ann_used["cost_usd"] == pytest.approx(answers[200, None] * COST_USD)
    assert budget["spent_usd"] <= BUDGET_USD + 1e-9


def test_a_key_without_a_budget_is_not_concerned(company: RunningGateway) -> None:
    assert company.http.post("/v1/chat/completions", json=QUESTION).status_code == 200
