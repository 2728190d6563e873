import pytest

from actors.protocol.messages import JsonObject
from actors.tracing.tokens import COUNTED_CHARS, TokenCounter, count_by_chars, tokenizer

QUESTION = "What is the capital of France?"
BODY: JsonObject = {"messages": [{"role": "user", "content": QUESTION}]}


def by_words(text: str) -> int:
    return len(text.split())


@pytest.fixture
def counter() -> TokenCounter:
    counter = TokenCounter(lambda: by_words)
    counter.load()
    return counter


def test_prompt_and_answer_are_counted_and_marked_as_estimated(counter: TokenCounter) -> None:
    usage = counter(BODY, "It is Paris.")

    # Three for the answer's beginning, three for the message, six words.
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (12, 3, True)


def test_parts_images_and_tools_count_as_well(counter: TokenCounter) -> None:
    parts = [{"type": "text", "text": "two words"}, {"type": "image_url", "image_url": {"url": "data:..."}}]
    tools = [{"type": "function"}]

    usage = counter({"messages": [{"role": "user", "content": parts}], "tools": tools}, "")

    assert usage.prompt_tokens == 3 + 3 + 2 + 85 + len(str(tools).split())


def test_of_a_long_text_the_beginning_stands_for_the_whole(counter: TokenCounter) -> None:
    text = "a b " * COUNTED_CHARS

    assert counter({}, text).completion_tokens == 2 * COUNTED_CHARS


def test_until_the_tokenizer_is_there_characters_are_counted() -> None:
    def absent() -> None:
        raise ImportError

    counter = TokenCounter(absent)  # type: ignore[arg-type]  # it gives nothing
    counter.load()

    assert counter({}, "x" * 40).completion_tokens == count_by_chars("x" * 40) == 10
    assert count_by_chars("日本語") == 2


@pytest.mark.parametrize("body", [{}, {"messages": None}, {"messages": ["no object", {"content": 7}]}])
def test_whatever_a_caller_sends_is_counted_somehow(counter: TokenCounter, body: JsonObject) -> None:
    assert counter(body, "").prompt_tokens >= 3


def test_the_real_tokenizer_counts_as_openai_does() -> None:
    count = tokenizer()

    # By OpenAI's own page for o200k_base.
    assert count("tiktoken is great!") == 6
    assert count(QUESTION) == 7
    assert abs(count_by_chars(QUESTION) - count(QUESTION)) <= 2
