"""In what form do many decision records travel and rest, at the least cost?

As columns: the values of one field of all records in a row, or one value that stands for all where all are equal, as in
most fields they are. As JSON that takes a sixth of the same records one by one, and less work than pickling them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import orjson

from actors.protocol.messages import Attempt, DecisionRecord, EnsembleReport, Failure, Usage, Vote
from actors.protocol.sending import Sendable

Column = Sequence[Any]
Fields = Mapping[str, Sequence[str]]
Kind = type[Sendable]


class _Part(NamedTuple):
    """A field that holds other records: any number of them, or one or `None`."""

    kind: Kind
    is_many: bool


_KINDS: Final[Sequence[Kind]] = (DecisionRecord, Attempt, Usage, EnsembleReport, Vote, Failure)
_FIELDS: Final[Fields] = {kind.__name__: kind.__slots__ for kind in _KINDS}
_PARTS: Final[Mapping[Kind, Mapping[str, _Part]]] = {
    DecisionRecord: {
        "attempts": _Part(Attempt, True),
        "usage": _Part(Usage, False),
        "ensemble": _Part(EnsembleReport, False),
    },
    Attempt: {"usage": _Part(Usage, False)},
    EnsembleReport: {"votes": _Part(Vote, True), "failures": _Part(Failure, True)},
}
_NO_PARTS: Final[Mapping[str, _Part]] = {}


def _pairs(values: Iterable[Iterable[Any]]) -> tuple[tuple[Any, ...], ...]:
    return tuple(map(tuple, values))


_REBUILT: Final[Mapping[str, Callable[[Any], Any]]] = {
    "excluded": _pairs,
    "unclosed": _pairs,
    "predicted": _pairs,
    "task_permille": tuple,
}
"""What JSON has made a list of."""


class Columns:
    """Records of one kind, field by field: `columns["latency_ms"]` holds that of each of them, in their order."""

    __slots__ = ("_columns", "_fields", "count")

    def __init__(self, kind: Kind, count: int, columns: Sequence[Column]) -> None:
        self.count = count
        self._fields = kind.__slots__
        self._columns = columns

    @classmethod
    def of(cls, records: Sequence[DecisionRecord]) -> "Columns":
        """Those of decision records."""
        return cls(DecisionRecord, len(records), _columns_of(DecisionRecord, records))

    def __getitem__(self, field: str) -> Column:
        """A field's values, but of one that holds other records: see `held` and `each`."""
        return _spread(self._columns[self._fields.index(field)], self.count) if self.count else ()

    def held(self, field: str, kind: Kind) -> tuple[Column, "Columns"]:
        """How many records of another kind each one holds in a field, and all of those."""
        if not self.count:
            return (), Columns(kind, 0, ())
        counts, columns = self._columns[self._fields.index(field)]
        counts = _spread(counts, self.count)
        return counts, Columns(kind, sum(counts), columns)

    def each(self, field: str, kind: Kind, of_it: Sequence[str]) -> list[Column]:
        """Of the one record that a field may hold, some fields' values; `None` where it holds none."""
        counts, held = self.held(field, kind)
        if held.count == self.count:
            return [held[name] for name in of_it]
        found = [iter(held[name]) for name in of_it]
        return [[next(values) if count else None for count in counts] for values in found]

    def written(self) -> bytes:
        """The names of the fields, the number of records, and their columns. Raises `TypeError` for text that is no
        Unicode."""
        return orjson.dumps((_FIELDS, self.count, self._columns))


def written(records: Sequence[DecisionRecord]) -> bytes:
    """As their columns are written. Raises `TypeError` for text that is no Unicode."""
    return Columns.of(records).written()


def read(content: bytes) -> list[DecisionRecord]:
    """The records that were written, in order. Raises `ValueError` for anything else."""
    fields, count, columns = _opened(content)
    records: list[DecisionRecord] = _objects_of(DecisionRecord, columns, count, fields)
    return records


def ids_in(content: bytes) -> Sequence[str]:
    """The requests that the content tells of, in order. Raises `ValueError` for what was not `written`."""
    fields, count, columns = _opened(content)
    ids: Sequence[str] = _spread(columns[fields["DecisionRecord"].index("request_id")], count) if count else []
    return ids


def reworded(content: bytes, reword: Callable[[Sequence[str | None]], Sequence[str | None]]) -> bytes:
    """What was `written`, with other words for what each ensemble's votes say, and none for its failures.

    `reword` gets the answers of one ensemble, and gives as many. Raises `ValueError` for what was not `written`.
    """
    fields, count, columns = _opened(content)
    if not count or not (ensembles := columns[fields["DecisionRecord"].index("ensemble")])[1]:
        return content
    number, held = sum(_spread(ensembles[0], count)), ensembles[1]
    votes, failures = (held[fields["EnsembleReport"].index(name)] for name in ("votes", "failures"))
    if votes[1]:
        counts, place = _spread(votes[0], number), fields["Vote"].index("answer")
        answers = iter(_spread(votes[1][place], sum(counts)))
        votes[1][place] = _shrunk([word for n in counts for word in reword([*islice(answers, n)])])
    if failures[1]:
        failures[1][fields["Failure"].index("message")] = [""]
    return orjson.dumps((fields, count, columns))


class Written:
    """Records that were `written` part by part, each when it was still in the processor's cache, and arrive as one
    list."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = tuple(parts)

    def joined(self) -> list[DecisionRecord]:
        """The list that arrives."""
        return _joined(*self._parts)

    def __reduce__(self) -> tuple[Callable[..., list[DecisionRecord]], tuple[bytes, ...]]:
        return _joined, self._parts


def _joined(*parts: bytes) -> list[DecisionRecord]:
    return [record for part in parts for record in read(part)]


def _opened(content: bytes) -> tuple[Fields, int, Sequence[Column]]:
    try:
        fields, count, columns = orjson.loads(content)
    except (TypeError, ValueError) as error:
        raise ValueError(f"no records: {error}") from None
    return fields, count, columns


# ---- to columns ----


def _columns_of(kind: Kind, objects: Sequence[Sendable]) -> list[Column]:
    if not objects:
        return []
    columns: Iterable[Column] = zip(*[one.values() for one in objects], strict=True)
    parts = _PARTS.get(kind, _NO_PARTS)
    return [
        _part_of(parts[name], values) if name in parts else _shrunk(values)
        for name, values in zip(_FIELDS[kind.__name__], columns, strict=True)
    ]


def _part_of(part: _Part, values: Column) -> Column:
    """How many records each one holds, and the columns of all those."""
    if part.is_many:
        return [
            _shrunk([len(held) for held in values]),
            _columns_of(part.kind, [one for held in values for one in held]),
        ]
    held = [one for one in values if one is not None]
    return [_shrunk([int(one is not None) for one in values]), _columns_of(part.kind, held)]


def _shrunk(values: Column) -> Column:
    first = values[0]
    return (first,) if values[-1] == first and values.count(first) == len(values) else values


# ---- and back ----


def _objects_of(kind: Kind, columns: Sequence[Column], count: int, fields: Fields) -> list[Any]:
    if not count:
        return []
    names = fields[kind.__name__]
    parts = _PARTS.get(kind, _NO_PARTS)
    rebuilt = [_values_of(name, column, count, parts, fields) for name, column in zip(names, columns, strict=True)]
    make: Callable[..., Any] = kind
    if tuple(names) == kind.__slots__:
        return [make(*row) for row in zip(*rebuilt, strict=True)]
    return [make(**dict(zip(names, row, strict=True))) for row in zip(*rebuilt, strict=True)]


def _values_of(name: str, column: Column, count: int, parts: Mapping[str, _Part], fields: Fields) -> Column:
    if (part := parts.get(name)) is None:
        values = _spread(column, count)
        return values if name not in _REBUILT else [_REBUILT[name](value) for value in values]
    counts = _spread(column[0], count)
    held = iter(_objects_of(part.kind, column[1], sum(counts), fields))
    return [tuple(islice(held, n)) if part.is_many else next(held, None) if n else None for n in counts]


def _spread(column: Column, count: int) -> Column:
    return [*column] * count if len(column) == 1 else column
