"""Does the telemetry buffer stay bounded and honest?"""

import pytest

from actors.tracing.buffer import TelemetryBuffer


def test_records_come_out_oldest_first_and_only_once() -> None:
    buffer: TelemetryBuffer[int] = TelemetryBuffer(capacity=8)
    for record in (1, 2, 3):
        assert buffer.put(record)

    assert buffer.take(2) == ([1, 2], 0)
    assert buffer.take() == ([3], 0)
    assert buffer.take() == ([], 0)


def test_a_full_buffer_drops_what_is_new_and_counts_it_once() -> None:
    buffer: TelemetryBuffer[int] = TelemetryBuffer(capacity=2)

    kept = [buffer.put(record) for record in range(5)]

    assert kept == [True, True, False, False, False]
    assert (len(buffer), buffer.dropped) == (2, 3)
    assert buffer.take() == ([0, 1], 3)
    assert buffer.take() == ([], 0)


def test_a_buffer_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="room"):
        TelemetryBuffer(capacity=0)
