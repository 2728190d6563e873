"""Which runs of letters occur in a question, as places in a table of weights?"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

PLACES: Final = 8_192
HEAD_CHARS: Final = 256
TAIL_CHARS: Final = 128
EDGE_BYTES: Final = 48
EDGE_WEIGHT: Final = 3.0

_DIGITS_ALIKE: Final = bytes(48 if 48 <= byte <= 57 else byte for byte in range(256))
_MASKS: Final = np.array([[0xFFFF], [0xFFFFFF], [0xFFFFFFFF]], np.uint32)
_FACTORS: Final = np.array([[0x9E3779B1], [0x85EBCA6B], [0xC2B2AE35]], np.uint32)
_SHIFT: Final = np.uint32(32 - 13)


def looked_at(text: str) -> str:
    """The part of a text that counts: the first 256 and the last 128 characters of a long one."""
    return text if len(text) <= HEAD_CHARS + TAIL_CHARS else f"{text[:HEAD_CHARS]} {text[-TAIL_CHARS:]}"


def ngrams(text: str) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """The place of each run of 2, 3 and 4 bytes, 0 up to `PLACES`, and how much it counts; the squares sum to 1.

    Letters are taken as small ones, digits as alike. The 48 bytes at each end count three times: what is to be done is
    said before or after what it is done to. Equal in every process. Hashing is multiplicative, Knuth, The Art of
    Computer Programming 3, 6.4.
    """
    raw = f"  {text.lower()}    ".encode("utf-8", "replace").translate(_DIGITS_ALIKE)
    count = len(raw) - 3
    runs = np.ndarray((count,), "<u4", raw, 0, (1,))
    return (((runs & _MASKS) * _FACTORS) >> _SHIFT).ravel(), _counts(count)


@lru_cache(maxsize=512)
def _counts(count: int) -> NDArray[np.float32]:
    weights = np.ones((len(_MASKS), count), np.float32)
    weights[:, :EDGE_BYTES] = EDGE_WEIGHT
    weights[:, -EDGE_BYTES:] = EDGE_WEIGHT
    flat = weights.ravel()
    return np.asarray(flat / np.sqrt(flat @ flat))
