from collections.abc import Sequence
from dataclasses import dataclass

from actors.protocol.outlook import Outlook, Prospect
from actors.tracing.quality_book import QualityBook


@dataclass
class Looked:
    backend: str
    score_01: float
    flaws: Sequence[str] = ()
    chars: int = 10


def test_each_backend_has_its_mean_its_flaws_and_its_length() -> None:
    book = QualityBook()
    for answer in (Looked("a", 1.0), Looked("a", 0.2, ("refused",), 30), Looked("b", 0.5)):
        book.add(answer, 0.0)

    a, b = book.report()

    assert (a["backend"], a["scored"], a["mean_01"], a["mean_chars"]) == ("a", 2, 0.6, 20.0)
    assert (a["flaws"], b["flaws"], b["recent_01"]) == ({"refused": 1}, {}, 0.5)


def test_a_change_is_kept_with_its_moment_and_its_means() -> None:
    book = QualityBook()
    for _ in range(100):
        book.add(Looked("a", 1.0), 1.0)

    changes = [book.add(Looked("a", 0.0), 2.0) for _ in range(20)]

    (row,) = book.report()
    assert sum(change is not None for change in changes) == 1
    assert (row["changes"], row["last_change"]) == (1, {"at_s": 2.0, "before_01": 1.0, "after_01": 0.0})


def test_recent_answers_count_more_than_old_ones() -> None:
    book = QualityBook()
    for score_01 in [1.0] * 1_000 + [0.0] * 100:
        book.add(Looked("a", score_01), 0.0)

    (row,) = book.report()

    assert row["mean_01"] > 0.9
    assert row["recent_01"] < 0.15


def test_names_beyond_the_bound_are_other() -> None:
    book = QualityBook()
    for number in range(1_000):
        book.add(Looked(f"b{number}", 1.0), 0.0)

    assert len(book.report()) == 257


def test_what_was_counted_goes_on_from_a_former_report() -> None:
    first, second = QualityBook(), QualityBook()
    first.add(Looked("a", 0.2, ("empty",)), 0.0)

    second.restore(first.report())
    second.add(Looked("a", 0.4, ("empty",)), 0.0)

    (row,) = second.report()
    assert (row["scored"], row["mean_01"], row["flaws"]) == (2, 0.3, {"empty": 2})


def test_an_outlook_gets_the_quality_of_those_whose_answers_were_looked_at() -> None:
    book = QualityBook()
    book.add(Looked("a", 0.25), 0.0)
    unseen = Prospect("closed", 1.0, 0.0)

    outlook = book.added_to(Outlook(7, {"a": unseen, "b": unseen}))

    assert (outlook.prospects["a"].quality_01, outlook.prospects["b"]) == (0.25, unseen)
    assert outlook.version == 7
