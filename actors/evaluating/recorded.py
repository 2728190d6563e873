"""What did which model answer to which question, and which of it is right?"""

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from actors.ensembling.extraction import final_answer
from actors.protocol.errors import ConfigError
from actors.protocol.messages import Answer, Completion, JsonObject, Usage

CHARS_PER_TOKEN = 4  # the files hold no counts; the ratio of two strategies does not depend on it


@dataclass(frozen=True, slots=True)
class Reply:
    """One model's recorded answer. `is_labelled_right`: what the file says of it, `None` where it says nothing."""

    model: str
    text: str = field(repr=False)
    is_labelled_right: bool | None


@dataclass(frozen=True, slots=True)
class Question:
    """A question with a known answer, and every model's reply by its name."""

    name: str
    task_type: str
    prompt: str = field(repr=False)
    gold: str = field(repr=False)
    replies: Mapping[str, Reply] = field(repr=False)
    visible_tests: Sequence[str] = ()
    entry_point: str | None = None


class Marker:
    """Reads final answers, each text once, and marks replies: by their final answer where the gold one is a short
    answer, else by the file's label."""

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {}

    def read(self, text: str) -> str | None:
        """The normalised final answer of a reply."""
        if text not in self._known:
            self._known[text] = final_answer(text)
        return self._known[text]

    def gold(self, question: Question) -> str | None:
        """The right answer in the spelling of `read`; `None` where answers are not compared by it."""
        return None if question.task_type == "code" else self.read(f"The answer is {question.gold}")

    def is_right(self, question: Question, reply: Reply) -> bool:
        gold = self.gold(question)
        return bool(reply.is_labelled_right) if gold is None else self.read(reply.text) == gold


def load(path: Path) -> list[Question]:
    """The questions of a file of JSON lines, gzipped or not. Raises `ConfigError` for one that cannot be read."""
    questions: dict[str, Question] = {}
    replies: dict[str, dict[str, Reply]] = {}
    try:
        for row in _rows(path):
            name = str(row["id"])
            if name not in questions:
                replies[name] = {}
                questions[name] = Question(
                    name,
                    str(row.get("task_type") or "unknown"),
                    str(row["prompt"]),
                    str(row["gold"]),
                    replies[name],
                    tuple(row.get("visible_tests") or ()),
                    row.get("entry_point"),
                )
            if "model" in row:
                replies[name][row["model"]] = Reply(row["model"], str(row["response"]), row.get("correct"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"{path} does not hold questions as JSON lines with id, prompt and gold.") from error
    return list(questions.values())


def models_of(questions: Sequence[Question]) -> list[str]:
    """The models that have answered every question, in the order of the first one's replies."""
    if not questions:
        return []
    return [name for name in questions[0].replies if all(name in question.replies for question in questions)]


def answer_of(question: Question, model: str, member: str) -> Answer:
    """A recorded reply as the gateway gets it from a backend, here the `member`."""
    reply = question.replies[model]
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": reply.text}, "finish_reason": "stop"}]}
    usage = Usage(len(question.prompt) // CHARS_PER_TOKEN, len(reply.text) // CHARS_PER_TOKEN, estimated=True)
    return Answer(member, Completion(body, reply.text, "stop", usage), latency_ms=0.0)


def _rows(path: Path) -> Iterator[JsonObject]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        for line in lines:
            yield orjson.loads(line)
