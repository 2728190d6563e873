import pickle
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.protocol.columns import Written, ids_in, read, written
from actors.protocol.messages import Attempt, DecisionRecord, EnsembleReport, Failure, Usage, Vote

PLAIN = DecisionRecord("r0", 0.0, "m", "single", None, "timeout", 504, 1.0, 0.1, True)
REPORT = EnsembleReport(
    3, 2, 2, "majority_vote", "a", 0.8, 0.8, False, True,
    (Vote("a", "Paris", 0.4, 0.9), Vote("b", None, 0.2)),
    (Failure("c", "timeout", "too late", 504, True, 1.0),), ["alone"],
)  # fmt: skip
WHOLE = DecisionRecord(
    "r1", 1.5, "team", "ensemble", "a", "ok", 200, 100.0, 2.0, False, 10.0,
    (
        Attempt("a", "ok", 98.0, 10.0, Usage(3, 1, estimated=True), 0.25, started_ms=1.5, queued_ms=0.5),
        Attempt("c", "timeout", 99.0),
    ),
    Usage(3, 1), 0.25, REPORT, (("f", "no vision"),), "math", "plain", 0.5, "ann", 0.1, 7, (("g", "open"),),
    "00-1-2-01", True, (10, 990, 0, 0, 0, 0, 0, 0, 0),
)  # fmt: skip


KINDS = [PLAIN, WHOLE, replace(PLAIN, model="team"), replace(WHOLE, ensemble=None)]


@given(st.lists(st.sampled_from(KINDS), max_size=9))
def test_records_come_back_as_they_were_in_order(records: list[DecisionRecord]) -> None:
    assert read(written(records)) == records


def test_what_all_have_in_common_is_written_once() -> None:
    simple = replace(WHOLE, attempts=WHOLE.attempts[:1], ensemble=None)
    alike = [replace(simple, request_id=str(number)) for number in range(100)]

    assert written(alike).count(b"no vision") == 1
    assert len(written(alike)) < len(written(alike[:1])) + 100 * len('"100",')


def test_the_requests_can_be_told_without_reading_all() -> None:
    assert ids_in(written([PLAIN, WHOLE])) == ["r0", "r1"]
    assert ids_in(written([])) == []


def test_parts_arrive_as_one_list() -> None:
    sent = Written([written([PLAIN]), written([WHOLE, PLAIN])])

    assert pickle.loads(pickle.dumps(sent)) == sent.joined() == [PLAIN, WHOLE, PLAIN]


def test_a_field_that_was_added_later_has_its_default() -> None:
    fields, count, columns = orjson.loads(written([WHOLE]))
    place = fields["DecisionRecord"].index("task_permille")
    del fields["DecisionRecord"][place], columns[place]

    assert read(orjson.dumps([fields, count, columns])) == [replace(WHOLE, task_permille=())]


@pytest.mark.parametrize("content", [b"", b"no json", b"7", b"[1, 2]"])
def test_what_was_not_written_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="no records"):
        read(content)


def test_half_of_a_pair_of_surrogates_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        written([replace(PLAIN, model="\ud800")])
