"""Does a running gateway answer the examples of docs/api.md as that page says?"""

from collections.abc import Iterator

import pytest

from tests.cluster.test_examples import COMPANY
from tests.support.api_page import Example, differences, examples
from tests.support.running_gateway import RunningGateway


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("api")
    config = folder / "company.yaml"
    config.write_text(COMPANY)
    running = RunningGateway(folder, config)
    try:
        yield running.start()
    finally:
        running.close()


@pytest.mark.parametrize("example", examples(), ids=lambda example: f"{example.method} {example.path}")
def test_a_request_of_the_page_gets_what_is_printed_below_it(company: RunningGateway, example: Example) -> None:
    request_id = company.post("company").json()["troupe"]["request_id"]
    path, body = example.path.replace("REQUEST_ID", request_id), example.body
    if body and "request_id" in body:
        body = {**body, "request_id": request_id}

    reply = company.http.request(example.method, path, json=body)

    assert reply.status_code == (404 if isinstance(example.reply, dict) and "error" in example.reply else 200)
    if isinstance(example.reply, str):
        first, last = example.reply.splitlines()[0], example.reply.splitlines()[-1]
        assert first.partition("{")[0] in reply.text
        assert last in reply.text.splitlines()
    else:
        assert differences(example.reply, reply.json()) == []
