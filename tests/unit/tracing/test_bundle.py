from dataclasses import replace

from actors.protocol.columns import ids_in, read, written
from actors.protocol.messages import Attempt, DecisionRecord, EnsembleReport, Failure, Usage, Vote
from actors.tracing.bundle import bundle_of, record_in
from actors.tracing.explanation import explanation, without_words

REPORT = EnsembleReport(
    3, 2, 2, "majority_vote", "a", 0.8, 0.8, False, True,
    (Vote("a", "Paris", 0.4, 0.9), Vote("b", None, 0.2)),
    (Failure("c", "timeout", "said Paris", 504, True, 1.0),), ["alone"],
)  # fmt: skip
WHOLE = DecisionRecord(
    "r1", 1.5, "team", "ensemble", "a", "ok", 200, 100.0, 2.0, False, 10.0,
    (Attempt("a", "ok", 98.0, 10.0, Usage(3, 1, estimated=True), 0.25, started_ms=1.5, queued_ms=0.5),),
    Usage(3, 1), 0.25, REPORT, (("f", "no vision"),), "math", "plain", 0.5, "ann", 0.1, 7, (("g", "open"),),
    "00-1-2-01",
)  # fmt: skip


def test_a_record_comes_out_as_it_went_in_without_its_words() -> None:
    bundle = bundle_of([DecisionRecord("r0", 0.0, "m", "single", None, "timeout", 504, 1.0, 0.1, True), WHOLE])

    assert (bundle.count, list(ids_in(bundle.content))) == (2, ["r0", "r1"])
    assert bundle.table_versions == {0, 7}
    told = record_in(bundle.content, "r1")
    assert told is not None
    assert told.ensemble is not None
    assert told.ensemble.votes[0].answer == "A"
    assert explanation(told) == explanation(without_words(WHOLE))
    assert b"Paris" not in bundle.content
    assert record_in(bundle.content, "r2") is None


def test_what_was_written_with_its_words_is_kept_without_them() -> None:
    alike = EnsembleReport(
        2, 2, 2, "majority_vote", "a", 0.8, 1.0, False, False, (Vote("a", "42", 0.5), Vote("b", "42", 0.5))
    )
    split = replace(alike, votes=(Vote("a", "42", 0.3), Vote("b", "7", 0.3), Vote("c", "42", 0.4)))
    nobody = replace(alike, winner=None, votes=())
    alone = replace(WHOLE, strategy="single", ensemble=None)
    records = [alone, *(replace(WHOLE, ensemble=report) for report in (alike, REPORT, split, nobody)), alone]

    kept = read(bundle_of(records, content=written(records)).content)

    told = [record.ensemble and [vote.answer for vote in record.ensemble.votes] for record in kept]
    assert told == [None, ["A", "A"], ["A", None], ["A", "B", "A"], [], None]
    assert list(map(explanation, kept)) == [explanation(without_words(record)) for record in records]


def test_ensembles_in_which_nobody_answered_hold_no_words_either() -> None:
    failed = [replace(WHOLE, ensemble=replace(REPORT, votes=())), replace(WHOLE, ensemble=replace(REPORT, votes=()))]

    kept = bundle_of(failed, content=written(failed)).content

    assert [record.ensemble and len(record.ensemble.failures) for record in read(kept)] == [1, 1]
    assert b"Paris" not in kept
