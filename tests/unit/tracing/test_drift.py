import random

import pytest

from actors.tracing.drift import Change, DriftDetector


def fed(detector: DriftDetector, rng: random.Random, flawed_01: float, count: int) -> list[tuple[int, Change]]:
    """The changes found among so many scores, of which a share is 0.2 and the rest 1."""
    scores = (0.2 if rng.random() < flawed_01 else 1.0 for _ in range(count))
    return [(place, change) for place, score in enumerate(scores) if (change := detector.add(score)) is not None]


@pytest.mark.parametrize("flawed_01", [0.0, 0.05, 0.3, 0.5])
def test_noise_alone_is_no_change(flawed_01: float) -> None:
    assert fed(DriftDetector(), random.Random(1), flawed_01, 20_000) == []


@pytest.mark.parametrize(("flawed_01", "within"), [(0.3, 60), (0.45, 30), (0.7, 15)])
def test_a_fall_is_found_soon(flawed_01: float, within: int) -> None:
    detector, rng = DriftDetector(), random.Random(2)
    fed(detector, rng, 0.05, 500)

    (place, change), *_ = fed(detector, rng, flawed_01, 500)

    assert place < within
    assert change.before == pytest.approx(0.96, abs=0.03)
    assert change.after < 0.85


def test_a_rise_is_found_as_well_and_the_new_mean_is_then_the_usual_one() -> None:
    detector, rng = DriftDetector(), random.Random(3)
    fed(detector, rng, 0.7, 500)

    changes = fed(detector, rng, 0.0, 2_000)

    assert len(changes) == 1
    assert changes[0][1].after == 1.0
