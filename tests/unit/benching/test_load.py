"""How does a contestant fare under requests that come as fast as it answers?"""

import pytest

from actors.benching.load import Load, need_wrk, parsed
from actors.protocol.errors import LLMError

SAID = (
    "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 1 connections\n"
    '{"requests": 30, "seconds": 2.000000, "p50_ms": 1.5000, "p95_ms": 2.0000, "p99_ms": 9.0000, '
    '"refused": 2, "broken": 1}\n'
)


def test_the_last_line_of_wrk_is_read() -> None:
    load = parsed(SAID)

    assert load == Load(30, 2.0, 1.5, 2.0, 9.0, refused=2, broken=1)
    assert load.per_s == 15.0
    assert load.errors == 3


@pytest.mark.parametrize("said", ["", "unable to connect", '{"requests": 1}'])
def test_anything_else_is_an_error(said: str) -> None:
    with pytest.raises(LLMError, match="unexpected"):
        parsed(said)


def test_a_missing_wrk_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(LLMError, match="apt-get install wrk"):
        need_wrk()
