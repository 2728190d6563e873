"""In what form are many decision records sent and kept, at next to no cost, to be read one at a time?"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from actors.protocol.messages import Attempt, DecisionRecord, EnsembleReport, Failure, Usage, Vote
from actors.tracing.explanation import letters_of

_KINDS: Final = (DecisionRecord, Attempt, Usage, EnsembleReport, Vote, Failure)
_FIELDS: Final = {kind.__name__: kind.__slots__ for kind in _KINDS}
_ATTEMPTS: Final = DecisionRecord.__slots__.index("attempts")
_USAGE: Final = DecisionRecord.__slots__.index("usage")
_ENSEMBLE: Final = DecisionRecord.__slots__.index("ensemble")
_ATTEMPT_USAGE: Final = Attempt.__slots__.index("usage")
_VOTES: Final = EnsembleReport.__slots__.index("votes")
_FAILURES: Final = EnsembleReport.__slots__.index("failures")
_ANSWER: Final = Vote.__slots__.index("answer")
_MESSAGE: Final = Failure.__slots__.index("message")

Row = list[Any]
Fields = Mapping[str, Sequence[str]]


@dataclass(slots=True)
class Bundle:
    """Decision records without a word of their text.

    `content` is compressed JSON: the names of the fields of each kind, then one row of values per record. That is a
    tenth of the same records as objects of JSON, for half the work. `table_versions` are those of the routing tables
    that the requests were decided on.
    """

    ids: Sequence[str]
    content: bytes
    table_versions: frozenset[int] = frozenset()


def bundle_of(records: Sequence[DecisionRecord]) -> Bundle:
    """Packs records. Raises `TypeError` for text that is no Unicode."""
    return Bundle(
        [record.request_id for record in records],
        zlib.compress(orjson.dumps((_FIELDS, [_row_of(record) for record in records])), 1),
        frozenset([record.table_version for record in records]),
    )


def ids_in(content: bytes) -> Sequence[str]:
    """The requests that a bundle's content tells of. Raises `ValueError` for what is none."""
    fields, rows = _opened(content)
    place = fields["DecisionRecord"].index("request_id")
    return [row[place] for row in rows]


def record_in(content: bytes, request_id: str) -> DecisionRecord:
    """One record of a bundle's content. Raises `KeyError` where it is not in it."""
    fields, rows = _opened(content)
    place = fields["DecisionRecord"].index("request_id")
    for row in rows:
        if row[place] == request_id:
            return _record_of(row, fields)
    raise KeyError(request_id)


def records_in(content: bytes) -> list[DecisionRecord]:
    """All records of a bundle's content."""
    fields, rows = _opened(content)
    return [_record_of(row, fields) for row in rows]


def _opened(content: bytes) -> tuple[Fields, list[Row]]:
    try:
        fields, rows = orjson.loads(zlib.decompress(content))
    except zlib.error as error:
        raise ValueError(f"no bundle of records: {error}") from None
    return fields, rows


def _row_of(record: DecisionRecord) -> Row:
    row = [*record.values()]
    row[_ATTEMPTS] = attempts = [[*attempt.values()] for attempt in record.attempts]
    for values in attempts:
        if (usage := values[_ATTEMPT_USAGE]) is not None:
            values[_ATTEMPT_USAGE] = usage.values()
    if record.usage is not None:
        row[_USAGE] = record.usage.values()
    if record.ensemble is not None:
        row[_ENSEMBLE] = _row_of_report(record.ensemble)
    return row


def _row_of_report(report: EnsembleReport) -> Row:
    row = [*report.values()]
    row[_VOTES] = votes = [[*vote.values()] for vote in report.votes]
    for values, letter in zip(votes, letters_of(report.votes), strict=True):
        values[_ANSWER] = letter
    row[_FAILURES] = failures = [[*failure.values()] for failure in report.failures]
    for values in failures:
        values[_MESSAGE] = ""
    return row


def _record_of(row: Row, fields: Fields) -> DecisionRecord:
    def named(kind: type, values: Row) -> dict[str, Any]:
        return dict(zip(fields[kind.__name__], values, strict=True))

    def usage_of(values: Row | None) -> Usage | None:
        return None if values is None else Usage(**named(Usage, values))

    def attempt_of(values: Row) -> Attempt:
        told = named(Attempt, values)
        return Attempt(**told | {"usage": usage_of(told["usage"])})

    def report_of(values: Row) -> EnsembleReport:
        told = named(EnsembleReport, values)
        votes = [Vote(**named(Vote, vote)) for vote in told["votes"]]
        failures = [Failure(**named(Failure, failure)) for failure in told["failures"]]
        return EnsembleReport(**told | {"votes": votes, "failures": failures})

    told = named(DecisionRecord, row)
    parts = {
        "attempts": [attempt_of(values) for values in told["attempts"]],
        "usage": usage_of(told["usage"]),
        "ensemble": told["ensemble"] and report_of(told["ensemble"]),
        "excluded": [tuple(pair) for pair in told["excluded"]],
        "task_permille": tuple(told["task_permille"]),
        "unclosed": [tuple(pair) for pair in told["unclosed"]],
    }
    return DecisionRecord(**told | parts)
