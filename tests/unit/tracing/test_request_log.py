from pathlib import Path

import orjson
import pytest

from actors.protocol.errors import TracerError
from actors.protocol.messages import Attempt, DecisionRecord, Usage
from actors.tracing.request_log import RequestLog, request_line

RECORD = DecisionRecord(
    "r1", 1.0, "team", "failover", "b", "ok", 200, 12.3456, 1.0, False,
    attempts=(Attempt("a", "timeout", 9.0), Attempt("b", "ok", 2.0)), usage=Usage(3, 4), cost_usd=0.5, key_name="ann",
)  # fmt: skip


def test_each_request_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "requests.jsonl"

    RequestLog(path).write([RECORD, RECORD])

    first, second = path.read_bytes().splitlines()
    assert orjson.loads(first) == orjson.loads(second) == request_line(RECORD)
    assert (request_line(RECORD)["attempts"], request_line(RECORD)["tokens"]) == (["a:timeout", "b:ok"], 7)


def test_a_full_file_gives_way_to_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    log = RequestLog(path, max_bytes=400)

    for _ in range(3):
        log.write([RECORD])

    assert len(path.read_bytes().splitlines()) == 1
    assert len((tmp_path / "requests.jsonl.1").read_bytes().splitlines()) == 1


def test_a_file_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(TracerError, match="cannot be written"):
        RequestLog(tmp_path).write([RECORD])
