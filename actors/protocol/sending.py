"""How does a record cross processes at the least cost?"""

import pickle
from collections.abc import Callable
from operator import attrgetter
from typing import Any, ClassVar


class Sendable:
    """A slotted dataclass that is pickled as its class and its fields' values, and built by its constructor again.

    What dataclasses do for frozen slotted classes otherwise looks fields up by name at both ends, and costs twice as
    much. There must be two fields or more, and all must be arguments of the constructor.
    """

    __slots__ = ()

    _values: ClassVar[Any]

    def __init_subclass__(cls) -> None:
        # Called twice: the dataclass decorator puts a slotted class in the place of the one that was written.
        if slots := cls.__dict__.get("__slots__"):
            cls._values = attrgetter(*slots)

    def values(self) -> tuple[Any, ...]:
        """Its fields' values, in order."""
        values: tuple[Any, ...] = type(self)._values(self)
        return values

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        kind = type(self)
        return kind, kind._values(self)


class Packed:
    """A value that arrives as itself, pickled here and now by Python's own pickler.

    Ray's pickler looks at every object in Python, which for a batch of records takes three times as long.
    """

    __slots__ = ("_data",)

    def __init__(self, value: object) -> None:
        self._data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)

    def __reduce__(self) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
        return pickle.loads, (self._data,)
