"""Batches as a replica tells them, of whole records."""

import itertools
from collections.abc import Sequence

from actors.protocol.messages import DecisionRecord
from actors.tracing.sums import Batch, Sums

_numbers = itertools.count(1)


def batch_of(records: Sequence[DecisionRecord] = (), dropped: int = 0) -> Batch:
    """The next batch of one sender: all the records, and what they add up to."""
    sums = Sums()
    for record in records:
        sums.add(record)
    return Batch("replica", next(_numbers), *sums.take(), records, dropped)
