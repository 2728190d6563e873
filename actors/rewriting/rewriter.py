"""In which way is one request's question put to each backend?"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from actors.protocol.messages import JsonObject
from actors.protocol.patterns import PLAIN, Gain, Gains, RewriteMode
from actors.rewriting.choosing import chances, trials_beside
from actors.rewriting.example_shelf import ExampleShelf
from actors.rewriting.patterns import Example, Pattern
from actors.rewriting.questions import max_tokens_of, question_of, with_question

NOT_ENGLISH: Final = "?"
"""What has letters that English has not, and is too short to tell."""
NO_GAINS: Final[Mapping[str, Gain]] = {}


def unknown_language(text: str) -> None:
    """Where no language is told apart."""
    return


class Asked(NamedTuple):
    """How a backend was asked, and with which probability that way was taken."""

    pattern: str
    text: str
    probability_01: float


@dataclass(slots=True)
class Phrasing:
    """How one request's question is put to each backend; to the same one always in the same way.

    `forced`: the caller wants that pattern and no other.
    """

    rewriter: "Rewriter" = field(repr=False)
    mode: RewriteMode
    question: str = field(repr=False)
    patterns: Sequence[str]
    task_type: str
    key_name: str | None
    gains: Gains = field(repr=False)
    forced: str | None = None
    asked: dict[str, Asked] = field(default_factory=dict, repr=False)

    def body_for(self, backend: str, body: JsonObject) -> JsonObject:
        """The request as this backend is asked it; `body` itself stays as it is."""
        asked = self.asked.get(backend) or self._ask(backend)
        return body if asked.pattern == PLAIN else with_question(body, asked.text)

    def pattern_of(self, backend: str | None) -> str:
        """How the backend was asked."""
        asked = self.asked.get(backend or "")
        return PLAIN if asked is None else asked.pattern

    def probability_01(self, backend: str | None) -> float:
        """How probable that way was."""
        asked = self.asked.get(backend or "")
        return 1.0 if asked is None else asked.probability_01

    def beside(self, backend: str) -> Asked | None:
        """Another way to ask a backend the same, to compare the answers; `None` if no pattern is worth that."""
        worth = trials_beside(self.patterns, self._gains_of(backend))
        if not worth:
            return None
        name = self.rewriter.rng.choice(worth)
        return Asked(name, self._put(name), 1.0 / len(worth))

    def answered(self, request_id: str, text: str) -> None:
        """Keeps the answer, which may become an example."""
        self.rewriter.shelf.note(request_id, self.key_name, self.task_type, self.question, text)

    def _ask(self, backend: str) -> Asked:
        if self.forced is not None:
            found = {self.forced: 1.0}
        elif self.mode == "live":
            found = chances(self.patterns, self._gains_of(backend), self.rewriter.delta)
        else:
            found = {PLAIN: 1.0}
        name = self.rewriter.rng.choices(list(found), list(found.values()))[0]
        asked = self.asked[backend] = Asked(name, self._put(name), found[name])
        return asked

    def _put(self, pattern: str) -> str:
        return self.rewriter.put(pattern, self.question, self.key_name, self.task_type)

    def _gains_of(self, backend: str) -> Mapping[str, Gain]:
        return self.gains.get(backend, {}).get(self.task_type, NO_GAINS)


class Rewriter:
    """The patterns of one gateway, and the good answers of one replica.

    `mode`: that of requests for a single backend; models have their own. `delta`: how much worse than `plain` a
    pattern may be and still be used. `share_01`: of the requests whose questions are also asked in another way beside.
    `language_of`: the language of a text where that is clear. Without `learns` only a pattern that a caller names is
    used.
    """

    def __init__(
        self,
        patterns: Mapping[str, Pattern],
        rng: random.Random,
        mode: RewriteMode = "never",
        delta: float = 0.02,
        share_01: float = 0.1,
        language_of: Callable[[str], str | None] = unknown_language,
        *,
        learns: bool = True,
    ) -> None:
        self.patterns = patterns
        self.mode = mode
        self.delta = delta
        self.share_01 = share_01
        self._language_of = language_of
        self._learns = learns
        self.rng = rng
        self.shelf = ExampleShelf()

    def mode_of(self, wish: RewriteMode | None, own: RewriteMode | None) -> RewriteMode:
        """The mode of a request, by what it wishes and by its model's `own`, `None` for a single backend."""
        return (wish or own or self.mode) if self._learns else "never"

    def phrasing(
        self,
        body: Mapping[str, object],
        mode: RewriteMode,
        task_type: str,
        key_name: str | None,
        gains: Gains,
        forced: str | None = None,
    ) -> Phrasing | None:
        """The ways of asking that there are for this request; `None` where its text must stay as it is."""
        question = question_of(body)
        if question is None:
            return None
        meant = self._meant_for(question, task_type, max_tokens_of(body), key_name)
        if (
            forced is not None
            and forced in self.patterns
            and self._lacks_examples(forced, key_name, task_type, question)
        ):
            forced = PLAIN
        return Phrasing(self, mode, question, meant, task_type, key_name, gains, forced)

    def put(self, pattern: str, question: str, key_name: str | None, task_type: str) -> str:
        """The question in that way of asking."""
        found = self.patterns.get(pattern)
        if found is None:
            return question
        return found.put(question, self._examples(found, key_name, task_type, question))

    def _meant_for(self, question: str, task_type: str, max_tokens: int | None, key_name: str | None) -> list[str]:
        language = self._language_of(question) or (None if question.isascii() else NOT_ENGLISH)
        return [
            name
            for name, pattern in self.patterns.items()
            if pattern.is_meant_for(task_type, len(question), max_tokens, language)
            and not self._lacks_examples(name, key_name, task_type, question)
        ]

    def _lacks_examples(self, name: str, key_name: str | None, task_type: str, question: str) -> bool:
        pattern = self.patterns[name]
        return pattern.shows_examples and not self._examples(pattern, key_name, task_type, question)

    def _examples(self, pattern: Pattern, key_name: str | None, task_type: str, question: str) -> Sequence[Example]:
        if not pattern.shows_examples:
            return ()
        return [*pattern.examples, *self.shelf.examples(key_name, task_type, question)]
