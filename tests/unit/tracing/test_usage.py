from actors.protocol.columns import Columns
from actors.protocol.messages import DecisionRecord, Usage
from actors.tracing.sums import Sums
from actors.tracing.usage import Account, Consumption, UsageBook, day_of

NOON_S = 1_795_392_000.0 + 43_200.0  # 2026-11-23, 12:00 UTC


def request(
    model: str, key: str | None, cost_usd: float | None = 0.5, at_s: float = NOON_S, outcome: str = "ok"
) -> DecisionRecord:
    used = Usage(10, 5, estimated=cost_usd is None)
    return DecisionRecord(
        "r", at_s, model, "single", model, outcome, 200, 1.0, 1.0, False, usage=used, cost_usd=cost_usd, key_name=key
    )


def bill(book: UsageBook, request: DecisionRecord) -> None:
    """As it goes: summed up by a replica, billed by the tracer."""
    sums = Sums()
    sums.add(Columns.of([request]))
    for account, used in sums.take()[1].items():
        book.merge(account, used)


def test_every_request_is_billed_to_its_day_model_and_key() -> None:
    book = UsageBook()
    bill(book, request("a", "ann"))
    bill(book, request("a", "bob", outcome="timeout"))
    bill(book, request("b", "ann", cost_usd=None))
    bill(book, request("a", "ann", at_s=NOON_S + 86_400))

    report = book.report()

    assert [(row["model"], row["requests"], row["cost_usd"]) for row in report["models"]] == [
        ("a", 3, 1.5),
        ("b", 1, 0),
    ]
    assert [(row["key"], row["requests"], row["failed"]) for row in report["keys"]] == [("ann", 3, 0), ("bob", 1, 1)]
    assert [(row["day"], row["cost_usd"]) for row in report["days"]] == [("2026-11-23", 1.0), ("2026-11-24", 0.5)]
    assert (report["total"]["prompt_tokens"], report["total"]["estimated"], report["total"]["unpriced"]) == (40, 1, 1)
    assert book.report("2026-11-24")["total"]["requests"] == 1


def test_what_a_key_or_a_model_has_spent_is_of_one_day() -> None:
    book = UsageBook([(Account("2026-11-23", "a", "ann"), Consumption(requests=2, cost_usd=2.0))])
    bill(book, request("b", "ann"))

    assert book.spent_usd("2026-11-23", key="ann") == 2.5
    assert book.spent_usd("2026-11-23", model="b") == 0.5
    assert book.spent_usd("2026-11-24", key="ann") == 0.0


def test_a_flood_of_names_is_summed_up_as_other() -> None:
    book = UsageBook(max_rows_per_day=2)
    for number in range(10_000):
        bill(book, request(f"model-{number}", None))

    assert [row["model"] for row in book.report()["models"]] == ["model-0", "model-1", "other"]
    assert book.report()["total"]["requests"] == 10_000


def test_a_keys_spending_is_known_beyond_the_bound_and_after_a_restart() -> None:
    book = UsageBook(max_rows_per_day=1)
    for number in range(9):
        bill(book, request(f"model-{number}", "ann"))
        bill(book, request(f"model-{number}", "bob"))

    assert book.spent_usd("2026-11-23", key="ann") == 4.5
    assert book.spent_usd("2026-11-23", model="model-8") == 1.0
    assert UsageBook(book.accounts().items()).spent_usd("2026-11-23", key="bob") == 4.5
    assert len(book.accounts()) == 3


def test_days_are_those_of_utc() -> None:
    assert (day_of(0.0), day_of(86_399.9), day_of(NOON_S)) == ("1970-01-01", "1970-01-01", "2026-11-23")
