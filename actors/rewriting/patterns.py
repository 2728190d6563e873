"""Which ways of putting a question are there, and for which questions is each of them meant?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

QUESTION: Final = "{question}"
ENGLISH: Final = ("en",)
EXAMPLES: Final = "{examples}"


class Example(NamedTuple):
    """A question and a good answer to it."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """A template with conditions.

    `template` holds `{question}` once, which stands for the caller's text, unchanged, and `{examples}` once at most.
    `task_types`: those that it is meant for, all if empty. `min_chars` and `max_chars` bound the question's length;
    `min_tokens` is what the answer may have at least where the caller limits it. `languages`: ISO 639-1 codes of the
    languages that it is written for, all if empty: a model that is told something in another language may answer in
    that. `examples` are shown where `{examples}` stands, before those that the gateway has collected.
    """

    name: str
    template: str
    task_types: Sequence[str] = ()
    min_chars: int = 0
    max_chars: int = 8_000
    min_tokens: int = 0
    languages: Sequence[str] = ()
    examples: Sequence[Example] = ()

    @property
    def shows_examples(self) -> bool:
        """Whether it needs examples."""
        return EXAMPLES in self.template

    def is_meant_for(self, task_type: str, n_chars: int, max_tokens: int | None, language: str | None = None) -> bool:
        """Whether its conditions hold. `max_tokens`: the caller's limit for the answer; `language`: the question's,
        `None` where that cannot be told."""
        return (
            (not self.languages or language is None or language in self.languages)
            and (not self.task_types or task_type in self.task_types)
            and self.min_chars <= n_chars <= self.max_chars
            and (max_tokens is None or max_tokens >= self.min_tokens)
        )

    def put(self, question: str, examples: Sequence[Example] = ()) -> str:
        """The question in this way of asking."""
        before, _, after = self.template.partition(QUESTION)
        shown = "\n\n".join(f"Question: {example.question}\nAnswer: {example.answer}" for example in examples)
        return before.replace(EXAMPLES, shown) + question + after.replace(EXAMPLES, shown)


BUILT_IN: Final[Mapping[str, Pattern]] = {
    pattern.name: pattern
    for pattern in (
        Pattern(
            "clarification",
            "{question}\n\nIf this can be understood in several ways, take the likeliest one and answer that.",
            task_types=("factual_question", "chat", "creative", "unknown"),
            max_chars=300,
            languages=ENGLISH,
        ),
        Pattern(
            "expansion",
            "{question}\n\nBefore you answer, name what is given, what is asked for, and every condition that the "
            "answer has to meet. Then answer, and check it against each of them.",
            task_types=("math", "code", "creative", "unknown"),
            min_tokens=256,
            languages=ENGLISH,
        ),
        Pattern(
            "simplification",
            "Below is a long text. Find the one thing that is asked for, leave aside what does not matter for it, and "
            "answer just that.\n\n{question}",
            task_types=("factual_question", "math", "extraction", "chat", "unknown"),
            min_chars=300,
            languages=ENGLISH,
        ),
        Pattern(
            "exemplification",
            "These questions were answered well:\n\n{examples}\n\nAnswer this one in the same way.\n\n{question}",
            max_chars=2_000,
            languages=ENGLISH,
        ),
        Pattern(
            "format",
            "{question}\n\nAnswer with what is asked for and nothing else: no introduction, no explanation.",
            task_types=("factual_question", "extraction", "translation", "summarization", "math"),
            languages=ENGLISH,
        ),
        Pattern(
            "step_by_step",
            "{question}\n\nThink step by step, one short line for each step. Then write the final answer, and nothing "
            "else, in a last line that begins with 'Answer:'.",
            task_types=("math", "factual_question", "extraction", "unknown"),
            min_tokens=200,
            languages=ENGLISH,
        ),
    )
}
"""By name. Sources: step by step, Kojima et al. 2022, https://arxiv.org/abs/2205.11916; examples, Brown et al. 2020,
https://arxiv.org/abs/2005.14165; naming what is given and asked first, Zheng et al. 2023,
https://arxiv.org/abs/2310.06117."""
