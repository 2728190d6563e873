"""Which questions of several types have answers that a few lines can check? Made here, from a seed."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from actors.ensembling.extraction import final_answer
from actors.evaluating.sums import KINDS

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
LONGEST_LINE = 80  # of characters beside the answer, where the question's own text holds it


@dataclass(frozen=True, slots=True)
class Checkable:
    """A question and its right answer. `kind`: `sum`, `fact` or `reading`."""

    name: str
    kind: str
    text: str
    gold: str

    def is_right(self, reply: str) -> bool:
        """Whether the reply comes to the right answer, whatever it says on the way."""
        if self.kind == "sum":
            numbers = NUMBER.findall(reply.replace(",", ""))
            return self.gold in (final_answer(reply), numbers[-1].removesuffix(".0") if numbers else None)
        wanted = re.compile(rf"\b{re.escape(self.gold)}\b", re.IGNORECASE)
        if self.kind == "fact":
            return wanted.search(reply) is not None
        lines = [line for line in reply.splitlines() if line.strip()]
        last = lines[-1] if lines else ""
        return wanted.search(last) is not None and len(last) <= len(self.gold) + LONGEST_LINE


def questions(seed: int = 0) -> list[Checkable]:
    """A hundred: 40 sums, 30 facts and 30 that ask for one thing in a text, shuffled; the same for one seed."""
    rng = random.Random(seed)
    found = [*_sums(rng, 40), *_facts(), *_readings(rng, 30)]
    rng.shuffle(found)
    return found


def more_questions(seed: int) -> list[Checkable]:
    """Another 70 of those kinds of which there can be any number, under names of their own."""
    made = (one for one in questions(seed) if one.kind != "fact")
    return [replace(one, name=f"{one.name}-{seed}") for one in made]


def _sums(rng: random.Random, n: int) -> list[Checkable]:
    made = [KINDS[number % len(KINDS)](rng) for number in range(n)]
    return [Checkable(f"sum-{place}", "sum", asked, str(gold)) for place, (asked, gold) in enumerate(made)]


def _facts() -> list[Checkable]:
    return [Checkable(f"fact-{place}", "fact", asked, gold) for place, (asked, gold) in enumerate(FACTS)]


FACTS: Sequence[tuple[str, str]] = (
    ("What is the capital of Australia?", "Canberra"),
    ("What is the capital of Canada?", "Ottawa"),
    ("What is the capital of Turkey?", "Ankara"),
    ("What is the capital of Brazil?", "Brasilia"),
    ("What is the capital of Egypt?", "Cairo"),
    ("What is the capital of Norway?", "Oslo"),
    ("Which planet is closest to the sun?", "Mercury"),
    ("Which planet is the largest of the solar system?", "Jupiter"),
    ("What is the chemical symbol of gold?", "Au"),
    ("What is the chemical symbol of iron?", "Fe"),
    ("What is the chemical symbol of sodium?", "Na"),
    ("Which gas do plants take from the air for photosynthesis?", "carbon dioxide"),
    ("Who wrote Romeo and Juliet?", "Shakespeare"),
    ("Who painted the Mona Lisa?", "Leonardo"),
    ("Who developed the theory of general relativity?", "Einstein"),
    ("In which year did the Second World War end?", "1945"),
    ("In which year did the first human walk on the moon?", "1969"),
    ("How many degrees has a right angle?", "90"),
    ("How many bones has an adult human?", "206"),
    ("How many minutes has a day?", "1440"),
    ("How many sides has a hexagon?", "6"),
    ("What is the longest river of South America?", "Amazon"),
    ("What is the highest mountain on earth?", "Everest"),
    ("On which continent is Kenya?", "Africa"),
    ("Which ocean lies between Europe and America?", "Atlantic"),
    ("Which language is spoken most in Mexico?", "Spanish"),
    ("Which animal is the largest on earth?", "blue whale"),
    ("What is the currency of Japan?", "yen"),
    ("Which keyword defines a function in Python?", "def"),
    ("Which organ pumps blood through the body?", "heart"),
)


def _readings(rng: random.Random, n: int) -> list[Checkable]:
    return [Checkable(f"reading-{place}", "reading", *_reading(rng, place)) for place in range(n)]


def _reading(rng: random.Random, place: int) -> tuple[str, str]:
    first, second = rng.sample(("Meyer", "Rossi", "Tanaka", "Novak", "Silva", "Okafor", "Larsen", "Dubois"), 2)
    city, other = rng.sample(("Lyon", "Oslo", "Porto", "Gdansk", "Turin", "Ghent", "Malmo", "Graz"), 2)
    order, invoice = rng.randint(10_000, 99_999), rng.randint(10_000, 99_999)
    day, month = rng.randint(1, 28), rng.choice(("March", "April", "June", "October"))
    text = (
        f"Dear Ms {first}, your order {order} from {city} was sent on {day} {month}, together with invoice {invoice}. "
        f"Mr {second} in {other} will call you if anything is missing."
    )
    asked, gold = (
        ("Extract the order number.", str(order)),
        ("Extract the invoice number.", str(invoice)),
        ("Extract the name of the person who will call.", second),
        ("From which city does the order come?", city),
        ("On which day was the order sent?", f"{day} {month}"),
    )[place % 5]
    return f"{asked}\n\n{text}", gold
