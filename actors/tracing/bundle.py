"""In what form are many decision records kept, without a word of their text?"""

from collections.abc import Sequence
from dataclasses import dataclass

from actors.protocol.columns import read, reworded, written
from actors.protocol.messages import DecisionRecord
from actors.tracing.explanation import letters_of


@dataclass(slots=True)
class Bundle:
    """Decision records without a word of their text. `content`: as they are `written`.

    `table_versions` are those of the routing tables that the requests were decided on.
    """

    ids: Sequence[str]
    content: bytes
    table_versions: frozenset[int] = frozenset()


def bundle_of(records: Sequence[DecisionRecord], content: bytes | None = None) -> Bundle:
    """Packs records. Raises `TypeError` for text that is no Unicode.

    `content`: all of them as they were `written` already.
    """
    content = written(records) if content is None else content
    if any(record.ensemble is not None for record in records):
        content = reworded(content, letters_of)
    return Bundle(
        [record.request_id for record in records], content, frozenset([record.table_version for record in records])
    )


def record_in(content: bytes, request_id: str) -> DecisionRecord:
    """One record of a bundle's content. Raises `KeyError` where it is not in it."""
    for record in read(content):
        if record.request_id == request_id:
            return record
    raise KeyError(request_id)
