"""Which values may a configuration hold, whatever their key?"""

from collections.abc import Mapping, Sequence
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError

from actors.config.problems import listed, nearest

PLANNED: Mapping[str, Sequence[str]] = {
    "provider": ("anthropic",),
}
"""Names that are known and not available yet, by what they name."""


def refused_name(kind: str, name: str, available: Sequence[str]) -> PydanticCustomError:
    """The error for a name that is not available; its context holds the nearest as `suggestion`."""
    context = {"kind": kind, "known": listed(available)}
    if name in PLANNED.get(kind, ()):
        return PydanticCustomError("planned_name", "is not available in this version; available: {known}", context)
    context["suggestion"] = nearest(name, available) or ""
    return PydanticCustomError("unknown_name", "is not a known {kind}; available: {known}", context)


def usable_url(url: str) -> str:
    """The URL itself if it begins with http:// or https:// and a host and holds no credential; else an error."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isprintable() or " " in url:
        raise PydanticCustomError("unusable_url", "must be a URL that begins with http:// or https:// and a host")
    if "@" in parts.netloc:
        raise PydanticCustomError("url_with_credential", "holds a credential; leave it out of the URL")
    return url


def plain(value: object) -> object:
    """The same value with ordinary strings in it, whatever kind of string they were."""
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def _no_flag(given: object) -> object:
    """Python takes `true` for 1; in a configuration that is a mistake."""
    if isinstance(given, bool):
        raise PydanticCustomError("number_type", "must be a number")
    return given


def _one_word(key: SecretStr) -> SecretStr:
    secret = key.get_secret_value()
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise PydanticCustomError("unusable_key", "must be one word of ASCII characters, or no header can carry it")
    return key


Whole = Annotated[int, BeforeValidator(_no_flag)]
Number = Annotated[float, BeforeValidator(_no_flag)]
Count = Annotated[Whole, Field(ge=1, le=1_000_000_000_000)]
Seconds = Annotated[Number, Field(gt=0, le=86_400)]
Share = Annotated[Number, Field(ge=0, le=1)]
Weight = Annotated[Number, Field(ge=0, le=1_000_000)]
Dollars = Annotated[Number, Field(ge=0, le=1_000_000)]
Text = Annotated[str, Field(min_length=1)]
Secret = Annotated[SecretStr, AfterValidator(_one_word)]


class Section(BaseModel):
    """A mapping with fixed keys. Its errors never quote what was found: that may be a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)
