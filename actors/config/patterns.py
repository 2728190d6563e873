"""Which ways of putting a question does a configuration add, change or switch off?"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator
from pydantic_core import PydanticCustomError

from actors.config.consistency import NAME
from actors.config.values import Section, Text, Whole, refused_name
from actors.protocol.patterns import MODES, PLAIN, RewriteMode
from actors.protocol.tasks import TASK_TYPES
from actors.rewriting.patterns import BUILT_IN, EXAMPLES, QUESTION, Example, Pattern

Chars = Annotated[Whole, Field(ge=0, le=10_000_000)]


def rewrite_mode(name: str) -> RewriteMode:
    """The mode of that name, or an error that says which there are."""
    for mode in MODES:
        if mode == name:
            return mode
    raise refused_name("rewrite", name, MODES)


def _known_task_type(name: str) -> str:
    if name not in TASK_TYPES:
        raise refused_name("type of task", name, TASK_TYPES)
    return name


Rewrite = Annotated[str, AfterValidator(rewrite_mode)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]
TaskType = Annotated[str, AfterValidator(_known_task_type)]


class ExampleConfig(Section):
    """A question and a good answer to it."""

    question: Text
    answer: Text


class PatternConfig(Section):
    """A way of putting questions: a new one, or what is otherwise of a built-in one.

    `template` holds `{question}` once. `task_types`: for which it is meant, all if empty. `min_chars`, `max_chars`:
    how long the question may be. `min_tokens`: what the answer may have at least where the caller limits it.
    `languages`: those of the questions that it is meant for, all if empty.
    """

    enabled: bool = True
    template: str | None = None
    task_types: tuple[TaskType, ...] | None = None
    min_chars: Chars | None = None
    max_chars: Chars | None = None
    min_tokens: Chars | None = None
    languages: tuple[Language, ...] | None = None
    examples: tuple[ExampleConfig, ...] = Field((), max_length=20)

    @field_validator("template")
    @classmethod
    def _has_places(cls, template: str | None) -> str | None:
        if template is not None and (template.count(QUESTION) != 1 or template.count(EXAMPLES) > 1):
            raise PydanticCustomError("unusable_template", "must hold {question} once, and {examples} once at most")
        return template

    def pattern(self, name: str) -> Pattern:
        """The pattern with what is given here, and the rest as it is built in."""
        base = BUILT_IN.get(name) or Pattern(name, self.template or QUESTION)
        return Pattern(
            name,
            self.template or base.template,
            base.task_types if self.task_types is None else self.task_types,
            base.min_chars if self.min_chars is None else self.min_chars,
            base.max_chars if self.max_chars is None else self.max_chars,
            base.min_tokens if self.min_tokens is None else self.min_tokens,
            base.languages if self.languages is None else self.languages,
            [Example(one.question, one.answer) for one in self.examples],
        )


def refuse_unusable(patterns: Mapping[str, PatternConfig]) -> None:
    """Raises for a name that cannot be one, and for a new pattern without a template."""
    for name, pattern in patterns.items():
        if name == PLAIN or not NAME.fullmatch(name):
            raise PydanticCustomError(
                "unusable_pattern", "pattern names are words other than 'plain', which is the question as it is"
            )
        if name not in BUILT_IN and pattern.template is None:
            message = "a pattern that is not built in needs a 'template'; built in: {known}"
            raise PydanticCustomError("no_template", message, {"known": ", ".join(BUILT_IN)})


def patterns_of(configured: Mapping[str, PatternConfig]) -> dict[str, Pattern]:
    """All patterns in use by name, the built-in ones first."""
    own = {name: one.pattern(name) for name, one in configured.items() if one.enabled}
    off = {name for name, one in configured.items() if not one.enabled}
    return {name: pattern for name, pattern in {**BUILT_IN, **own}.items() if name not in off}
