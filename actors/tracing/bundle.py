"""In what form are many decision records kept, without a word of their text?"""

from collections.abc import Sequence
from dataclasses import dataclass

from actors.protocol.columns import Columns, read, reworded
from actors.protocol.messages import DecisionRecord, EnsembleReport
from actors.tracing.explanation import letters_of


@dataclass(slots=True)
class Bundle:
    """So many decision records without a word of their text. `content`: as they are `written`.

    `table_versions` are those of the routing tables that the requests were decided on.
    """

    count: int
    content: bytes
    table_versions: frozenset[int] = frozenset()


def bundle_of(
    records: Sequence[DecisionRecord], columns: Columns | None = None, content: bytes | None = None
) -> Bundle:
    """Packs records. Raises `TypeError` for text that is no Unicode.

    `columns`: theirs; `content`: these as they were `written` already.
    """
    columns = columns or Columns.of(records)
    content = columns.written() if content is None else content
    if columns.held("ensemble", EnsembleReport)[1].count:
        content = reworded(content, letters_of)
    return Bundle(columns.count, content, frozenset(columns["table_version"]))


def record_in(content: bytes, request_id: str) -> DecisionRecord | None:
    """One record of a bundle's content; `None` where it is not in it."""
    return next((record for record in read(content) if record.request_id == request_id), None)
