"""Which settings of a configuration have no effect as they stand?"""

from collections.abc import Iterator

from actors.config.settings import Config


def notices(config: Config) -> list[str]:
    """One line per setting without effect; empty when everything has one."""
    return list(_idle_settings(config))


def _idle_settings(config: Config) -> Iterator[str]:
    for name, model in config.models.items():
        if model.min_confidence_01 > 0 and model.strategy != "cascade" and model.staged is None:
            yield f"models.{name}.min_confidence_01 has no effect without strategy: cascade, or staged."
        if model.min_confidence_01 == 0 and model.strategy == "cascade":
            yield f"models.{name}.min_confidence_01 is 0: the first member that answers is believed."
