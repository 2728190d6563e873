"""Notices: a setting without effect is said to be one."""

from actors.config.file import parse_config
from actors.config.notices import notices

BASE = "backends: {a: {provider: scripted}}\n"


def test_a_configuration_whose_settings_all_work_has_no_notices() -> None:
    assert notices(parse_config(BASE)) == []


def test_settings_without_effect_are_named() -> None:
    models = """
models:
  first: {members: [a], min_confidence_01: 0.5}
  thrifty: {strategy: cascade, members: [a, b]}
"""
    config = parse_config("backends: {a: {provider: scripted}, b: {provider: scripted}}" + models)

    without_cascade, believed = notices(config)

    assert without_cascade.startswith("models.first.min_confidence_01 has no effect")
    assert believed.startswith("models.thrifty.min_confidence_01 is 0")
