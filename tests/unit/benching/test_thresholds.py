"""Is the gateway as fast as it is meant to be?"""

import pytest

from actors.benching.cases import CASES
from actors.benching.figures import FIGURES
from actors.benching.plans import CONTESTANTS
from actors.benching.results import BASELINE, Results, Row
from actors.benching.thresholds import OURS, THRESHOLDS, Threshold, verdicts

AT_LEAST_TWICE = Threshold("claim", "c64", "per_s", 2.0, "at least", "portkey")


def measured(ours: float, theirs: float, errors: int = 0) -> Results:
    return Results([Row(OURS, "c64", 1, {"per_s": ours}, errors), Row("portkey", "c64", 1, {"per_s": theirs})])


@pytest.mark.parametrize(("ours", "passed"), [(200.0, True), (199.0, False)])
def test_a_threshold_holds_up_to_its_bound(ours: float, passed: bool) -> None:
    verdict, _ = verdicts(measured(ours, 100.0), [AT_LEAST_TWICE])

    assert verdict.passed is passed


def test_a_threshold_without_measurements_is_neither_passed_nor_failed() -> None:
    verdict, errors = verdicts(Results([]), [AT_LEAST_TWICE])

    assert verdict.passed is None
    assert errors.passed is None


@pytest.mark.parametrize(("errors", "passed"), [(0, True), (1, False)])
def test_a_single_error_of_ours_fails(errors: int, passed: bool) -> None:
    *_, verdict = verdicts(measured(200.0, 100.0, errors), [])

    assert verdict.passed is passed


def test_a_bound_without_another_contestant_is_on_our_own_figure() -> None:
    threshold = Threshold("claim", "ensemble", "cpu_times_single", 2.5)
    results = Results([Row(OURS, "ensemble", 1, {"cpu_times_single": 2.6})])

    verdict, _ = verdicts(results, [threshold])

    assert verdict.passed is False


@pytest.mark.parametrize("threshold", THRESHOLDS, ids=lambda threshold: threshold.claim)
def test_every_threshold_is_on_something_that_is_measured(threshold: Threshold) -> None:
    assert threshold.case in CASES
    assert threshold.figure in FIGURES
    assert threshold.to is None or threshold.to in CONTESTANTS
    assert {OURS, BASELINE} <= set(CONTESTANTS)
