"""Notices: a setting without effect is said to be one."""

from actors.config.file import parse_config
from actors.config.notices import notices

BASE = "backends: {a: {provider: scripted}}\n"


def test_a_configuration_whose_settings_all_work_has_no_notices() -> None:
    assert notices(parse_config(BASE)) == []


def test_settings_without_effect_are_named() -> None:
    config = parse_config("backends: {a: {provider: scripted, rpm: 60}}\noptimizer: {enabled: false}\n")

    (notice,) = notices(config)

    assert notice.startswith("optimizer.enabled: false has no effect")
