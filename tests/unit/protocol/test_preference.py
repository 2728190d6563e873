import pytest

from actors.protocol.preference import FOR_QUALITY, PREFERENCES, Preference


def test_worth_is_the_weighted_mean_of_quality_cheapness_and_speed() -> None:
    # (2 * 0.9 + 1 * (1 - 0.4) + 1 * (1 - 1)) / 4
    assert Preference(2, 1, 1).worth_01(0.9, 0.4, 1.0) == pytest.approx(0.6)


def test_only_the_proportion_of_the_weights_counts() -> None:
    assert Preference(2, 1, 1).worth_01(0.3, 0.7, 0.2) == pytest.approx(
        Preference(200, 100, 100).worth_01(0.3, 0.7, 0.2)
    )


def test_every_name_but_quality_weighs_something_else_as_well() -> None:
    assert [name for name, one in PREFERENCES.items() if one.is_for_quality_alone] == ["quality"]
    assert FOR_QUALITY.worth_01(0.7, 1.0, 1.0) == 0.7
