from actors.protocol.outlook import Outlook, Prospect
from actors.protocol.trust import Trust
from actors.tracing.outlooks import MOST_KEPT, Outlooks, outlook_from

RICH = Outlook(
    5,
    {"a": Prospect("open", 1.5, 0.25, (1.0, 2.0), 80.0, 90.0, 0.5), "b": Prospect("closed", 1.0, 0.0)},
    {"team": ["a", "b"]},
    {"team": {"unknown": Trust({"a": 0.5}, 0.1, 3)}},
)


def test_a_table_has_the_last_outlook_before_the_next_one() -> None:
    outlooks = Outlooks()
    for version in (10, 20):
        outlooks.note(Outlook(version))

    found = [outlooks.at(version) for version in (9, 10, 19, 20, 99)]

    assert [outlook and outlook.version for outlook in found] == [None, 10, 10, 20, 20]


def test_an_outlook_is_written_once_and_only_if_a_request_rests_on_it() -> None:
    outlooks = Outlooks()
    for version in (10, 20, 30):
        outlooks.note(Outlook(version))

    first = outlooks.unwritten({11, 12, 25})
    outlooks.written(first)

    assert sorted(first) == [10, 20]
    assert sorted(outlooks.unwritten({11, 30})) == [30]


def test_an_outlook_comes_back_from_json_as_it_was() -> None:
    outlooks = Outlooks()
    outlooks.note(RICH)

    assert outlook_from(outlooks.unwritten({5})[5]) == RICH


def test_old_ones_are_forgotten_sooner_where_there_are_many_backends() -> None:
    few, many = Outlooks(), Outlooks()
    thousand = {f"b{number}": Prospect("closed", 1.0, 0.0) for number in range(1_000)}
    for version in range(1, MOST_KEPT + 2):
        few.note(Outlook(version))
        many.note(Outlook(version, thousand))

    assert (few.at(1), few.at(2)) == (None, Outlook(2))
    assert (many.at(MOST_KEPT - 59), many.at(MOST_KEPT - 58) is not None) == (None, True)
