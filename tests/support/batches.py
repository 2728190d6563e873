"""Batches as a replica tells them, of whole records."""

import itertools
from collections.abc import Sequence

from actors.protocol.columns import Columns
from actors.protocol.messages import DecisionRecord
from actors.tracing.bundle import bundle_of
from actors.tracing.sums import Batch, Sums

_numbers = itertools.count(1)


def batch_of(records: Sequence[DecisionRecord] = (), dropped: int = 0) -> Batch:
    """The next batch of one sender: all the records, also as a bundle, and what they add up to."""
    sums = Sums()
    sums.add(Columns.of(records))
    return Batch("replica", next(_numbers), *sums.take(), records, [bundle_of(records)] if records else [], dropped)
