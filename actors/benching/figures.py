"""What is measured, and how is it shown?"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A column of the results.

    `added`: also told as what a contestant adds to the upstream. `compared`: also told as a ratio to other contestants.
    """

    title: str
    digits: int
    added: bool = False
    compared: bool = False


# Of streams, `first` is the time from a request to its first chunk, and `lag` that of a chunk from its sending.
# Of ensembles, `single` is the same gateway's request to one model, measured directly before.
FIGURES: Mapping[str, Figure] = {
    "per_s": Figure("req/s", 0, compared=True),
    "p50_ms": Figure("p50 ms", 2, added=True, compared=True),
    "p95_ms": Figure("p95 ms", 2, added=True),
    "p99_ms": Figure("p99 ms", 2, added=True, compared=True),
    "cpu_us_per_request": Figure("CPU us/req", 0, compared=True),
    "first_p50_ms": Figure("first p50 ms", 2, added=True, compared=True),
    "first_p95_ms": Figure("first p95 ms", 2),
    "first_p99_ms": Figure("first p99 ms", 2),
    "lag_p50_ms": Figure("lag p50 ms", 3, added=True, compared=True),
    "lag_p95_ms": Figure("lag p95 ms", 3),
    "lag_p99_ms": Figure("lag p99 ms", 3),
    "cpu_us_per_chunk": Figure("CPU us/chunk", 0, compared=True),
    "cpu_us_per_chunk_above_rest": Figure("above rest", 0, compared=True),
    "single_p50_ms": Figure("single p50 ms", 2),
    "single_cpu_us_per_request": Figure("single CPU us/req", 0),
    "p50_times_single": Figure("p50 / single", 2),
    "cpu_times_single": Figure("CPU / single", 2),
    "first_answer_s": Figure("first answer s", 2, compared=True),
    "cpu_share": Figure("CPU of one core", 3),
    "pss_mb": Figure("PSS MB", 0, compared=True),
}
