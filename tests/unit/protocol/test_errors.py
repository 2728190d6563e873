"""The error tree: what each class answers, and that an error survives the way between processes."""

import pickle
from collections.abc import Iterator

import pytest

from actors.protocol import errors
from actors.protocol.errors import LLMError


def every_class(root: type[LLMError] = LLMError) -> Iterator[type[LLMError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:  # not those that other tests make up
            yield from every_class(child)


@pytest.mark.parametrize("kind", list(every_class()))
def test_an_error_survives_pickling_with_all_it_knows(kind: type[LLMError]) -> None:
    error = kind("what happened", "b", "model", 1.5, 418, "teapot")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert str(copy) == "what happened"
    assert (copy.backend, copy.param, copy.retry_after_s, copy.status, copy.code) == ("b", "model", 1.5, 418, "teapot")


@pytest.mark.parametrize("kind", list(every_class()))
def test_every_class_answers_status_code_and_retryable(kind: type[LLMError]) -> None:
    assert 400 <= kind.status <= 504
    assert kind.code.isidentifier()
    assert isinstance(kind.retryable, bool)


def test_the_module_draws_every_class_with_its_status_and_code() -> None:
    drawing = errors.__doc__ or ""

    for kind in every_class():
        line = next(line for line in drawing.splitlines() if kind.__name__ in line.split())
        assert str(kind.status) in line.split()
        assert kind.code in line.split()
        assert ("retryable" in line.split()) == kind.retryable
