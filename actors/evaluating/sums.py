"""Which questions have answers that nobody needs to look up? Sums, made from a seed."""

import random
from collections.abc import Callable

from actors.evaluating.recorded import Question
from actors.protocol.errors import ConfigError

PREFIX = "sums:"

_Sum = Callable[[random.Random], tuple[str, int]]


def sums(n: int, seed: int = 0) -> list[Question]:
    """`n` questions of five kinds in turn, from an addition of two digits to a small story; the same for one seed."""
    rng = random.Random(seed)
    questions = []
    for number in range(n):
        asked, gold = KINDS[number % len(KINDS)](rng)
        questions.append(Question(f"sum-{number}", "math", f"{asked} Reply with the number alone.", str(gold), {}))
    return questions


def named(name: str, seed: int) -> list[Question]:
    """The questions of `sums:N`. Raises `ConfigError` where N is no whole number of at least 2."""
    count = name.removeprefix(PREFIX)
    if not count.isdecimal() or int(count) < 2:
        raise ConfigError(f"'{name}' must be {PREFIX}N, where N is how many questions there shall be, at least 2.")
    return sums(int(count), seed)


def _addition(rng: random.Random) -> tuple[str, int]:
    one, other = rng.randint(11, 99), rng.randint(11, 99)
    return f"What is {one} + {other}?", one + other


def _subtraction(rng: random.Random) -> tuple[str, int]:
    one, other = rng.randint(200, 999), rng.randint(11, 199)
    return f"What is {one} - {other}?", one - other


def _product(rng: random.Random) -> tuple[str, int]:
    one, other = rng.randint(3, 9), rng.randint(12, 49)
    return f"What is {one} times {other}?", one * other


def _two_steps(rng: random.Random) -> tuple[str, int]:
    one, other, third = rng.randint(2, 9), rng.randint(11, 30), rng.randint(11, 60)
    return f"What is {one} * {other} + {third}?", one * other + third


def _story(rng: random.Random) -> tuple[str, int]:
    boxes, each, sold = rng.randint(3, 9), rng.randint(6, 12), rng.randint(5, 15)
    asked = f"A shop has {boxes} boxes of {each} pens and sells {sold} pens. How many pens are left?"
    return asked, boxes * each - sold


KINDS: tuple[_Sum, ...] = (_addition, _subtraction, _product, _two_steps, _story)
