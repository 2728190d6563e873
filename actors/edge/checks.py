"""Is a JSON value what its parameter needs, and if not, how is that said?

A check takes a parameter's name and its value, and raises a `CallerError` that says what was needed and found. JSON's
`true` is no number here, although Python's is.
"""

import math
from collections.abc import Callable

from actors.protocol.errors import CallerError

Check = Callable[[str, object], None]


def flag(param: str, value: object) -> None:
    """Accepts true and false."""
    if type(value) is not bool:
        raise wrong_type(param, "true or false", value)


def number(low: float = -math.inf, high: float = math.inf) -> Check:
    """Accepts numbers from `low` to `high`, both included."""
    wanted = f"a number{_range(low, high)}"

    def check(param: str, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise wrong_type(param, wanted, value)
        if not low <= value <= high:
            raise refused(param, wanted, found(value))

    return check


def whole(low: float = -math.inf, high: float = math.inf) -> Check:
    """Accepts whole numbers from `low` to `high`, both included."""
    wanted = f"a whole number{_range(low, high)}"

    def check(param: str, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(param, wanted, value)
        if not low <= value <= high:
            raise refused(param, wanted, found(value))

    return check


def text(max_chars: int | None = None) -> Check:
    """Accepts strings of up to `max_chars` characters."""

    def check(param: str, value: object) -> None:
        if not isinstance(value, str):
            raise wrong_type(param, "a string", value)
        if max_chars is not None and len(value) > max_chars:
            raise refused(param, f"a string of at most {max_chars} characters", f"{len(value)} characters")

    return check


def label(max_chars: int = 256) -> Check:
    """Accepts non-empty strings of up to `max_chars` characters: what somebody will look up."""
    short_text = text(max_chars)

    def check(param: str, value: object) -> None:
        short_text(param, value)
        if not value:
            raise refused(param, "a non-empty string", "an empty one")

    return check


def choice(*words: str) -> Check:
    """Accepts one of the words."""
    wanted = "one of " + ", ".join(f"'{word}'" for word in words)

    def check(param: str, value: object) -> None:
        if not isinstance(value, str):
            raise wrong_type(param, wanted, value)
        if value not in words:
            raise refused(param, wanted, f"'{value[:32]}'")

    return check


def list_of(check_item: Check, items: str, min_items: int = 0, max_items: int | None = None) -> Check:
    """Accepts arrays whose items pass `check_item`; `items` names those in messages."""
    wanted = f"an array of {items}"

    def check(param: str, value: object) -> None:
        if not isinstance(value, list):
            raise wrong_type(param, wanted, value)
        if len(value) < min_items:
            raise refused(param, f"a non-empty array of {items}", "an empty one")
        if max_items is not None and len(value) > max_items:
            raise refused(param, f"an array of at most {max_items} {items}", f"{len(value)} of them")
        for place, item in enumerate(value):
            check_item(f"{param}[{place}]", item)

    return check


def typed_object(*string_keys: str) -> Check:
    """Accepts objects that hold a string under each of the keys."""

    def check(param: str, value: object) -> None:
        if not isinstance(value, dict):
            raise wrong_type(param, "an object", value)
        for key in string_keys:
            if key not in value:
                raise missing(f"{param}.{key}")
            if not isinstance(value[key], str):
                raise wrong_type(f"{param}.{key}", "a string", value[key])

    return check


def mapping_of(check_value: Check) -> Check:
    """Accepts objects whose values pass `check_value`."""

    def check(param: str, value: object) -> None:
        if not isinstance(value, dict):
            raise wrong_type(param, "an object", value)
        for key, item in value.items():
            check_value(f"{param}.{key[:32]}", item)

    return check


def one_of(for_strings: Check, otherwise: Check) -> Check:
    """Accepts what one of the checks does: the first for strings, the second for all else."""

    def check(param: str, value: object) -> None:
        (for_strings if isinstance(value, str) else otherwise)(param, value)

    return check


def wrong_type(param: str, wanted: str, value: object) -> CallerError:
    """The error for a value of another type."""
    return CallerError(f"'{param}' must be {wanted}; found {found(value)}.", param=param, code="invalid_type")


def refused(param: str, wanted: str, instead: str) -> CallerError:
    """The error for a value of the right type that is out of range."""
    return CallerError(f"'{param}' must be {wanted}; found {instead}.", param=param, code="invalid_value")


def missing(param: str) -> CallerError:
    """The error for a required parameter that is not there."""
    return CallerError(f"'{param}' is missing.", param=param, code="missing_required_parameter")


def unknown_key(param: str, hint: str) -> CallerError:
    """The error for a key that means nothing here; a key can be as long as a body, a message should not."""
    param = param[:80]
    return CallerError(f"'{param}' is not known here.{hint}", param=param, code="unknown_parameter")


def found(value: object) -> str:
    """What a value is, in JSON's words. Strings may be somebody's text: they are not quoted."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def _range(low: float, high: float) -> str:
    if math.isinf(low):
        return ""
    return f" of at least {low:g}" if math.isinf(high) else f" from {low:g} to {high:g}"
