"""Where does a contestant take requests, and what is asked of it?"""

import json

import pytest

from actors.benching.target import Target, request_body


@pytest.mark.parametrize("size_bytes", [1024, 1027, 16 * 1024, 256 * 1024])
def test_a_body_has_exactly_its_size_and_is_a_chat(size_bytes: int) -> None:
    body = request_body("instant", size_bytes)

    assert len(body) == size_bytes
    assert json.loads(body)["messages"][0]["role"] == "user"


def test_a_body_is_not_cut_short() -> None:
    assert json.loads(request_body("instant", 1, stream=True, max_tokens=5))["max_tokens"] == 5


def test_the_base_url_is_what_a_configuration_wants() -> None:
    assert Target("http://127.0.0.1:1/v1/chat/completions", "m").base_url == "http://127.0.0.1:1/v1"
