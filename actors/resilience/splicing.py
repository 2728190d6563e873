"""Can a second answer go on where a first one broke off?"""

from typing import Final

MISMATCH: Final = None
"""The second answer does not repeat the first: nothing of it may follow."""


class Splice:
    """Follows a second answer until it has repeated, letter by letter, what was already sent of the first.

    Only then is it proven that what comes next continues it. `is_caught_up` from then on.
    """

    __slots__ = ("_left",)

    def __init__(self, sent: str) -> None:
        self._left = sent

    @property
    def is_caught_up(self) -> bool:
        return not self._left

    def feed(self, text: str) -> str | None:
        """What of the next piece is new, "" while it only repeats; `MISMATCH` as soon as it says something else."""
        left = self._left
        if not left:
            return text
        if text.startswith(left):
            self._left = ""
            return text[len(left) :]
        if not left.startswith(text):
            return MISMATCH
        self._left = left[len(text) :]
        return ""
