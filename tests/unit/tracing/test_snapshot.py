import json

from actors.protocol.clock import ManualClock
from actors.protocol.messages import Usage
from actors.tracing.aggregates import Aggregates, Key
from actors.tracing.report import Background, performance_report
from actors.tracing.snapshot import rows_of, tallies_in

CALL = Key("backend", "call", "a")


def sums() -> Aggregates:
    made = Aggregates(ManualClock())
    for duration_ms in (1.0, 20.0, 300.0):
        made.add(CALL, "ok", duration_ms, 0.5, Usage(10, 5), 0.25)
    made.add(CALL, "timeout", 5.0)
    made.add(Key("gateway", "request"), "cancelled", 5.0)
    return made


def test_restored_sums_report_the_same_percentiles_errors_and_cost() -> None:
    before, after = sums(), Aggregates(ManualClock())

    for key, tally in tallies_in(json.loads(json.dumps(rows_of(before.totals())))).items():
        after.restore(key, tally)

    background = Background(0.0, 0.0)
    assert performance_report(after, background, windows=False) == performance_report(before, background, windows=False)
