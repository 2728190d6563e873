"""How does a record cross processes at the least cost?"""

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

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        kind = type(self)
        return kind, kind._values(self)
