"""Messages: arithmetic of usage, and what never gets printed."""

from actors.protocol.errors import RateLimited, RequestRefused
from actors.protocol.messages import Call, EnsembleReport, Failure, Usage, Vote


def test_usage_adds_up_and_stays_estimated() -> None:
    total = Usage(3, 5) + Usage(2, 1, estimated=True)

    assert total == Usage(5, 6, estimated=True)
    assert total.as_json() == {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}


def test_a_call_does_not_print_the_callers_text() -> None:
    call = Call("req_1", {"messages": [{"role": "user", "content": "my secret"}]}, 3.0)

    assert "my secret" not in repr(call)


def test_asking_sets_parameters_on_a_copy() -> None:
    call = Call("req_1", {"temperature": 1}, 3.0)

    assert call.asking(temperature=0, logprobs=True).body == {"temperature": 0, "logprobs": True}
    assert call.body == {"temperature": 1}


def test_a_failure_becomes_the_error_it_came_from() -> None:
    failure = Failure.of(RateLimited("slow down", "b", retry_after_s=2.0), "b", 12.0)

    error = failure.as_error()

    assert (error.status, error.code, error.retry_after_s, error.retryable) == (429, "rate_limit_exceeded", 2.0, True)
    assert error.kind == "rate_limit_error"


def test_the_callers_own_mistake_stays_the_callers() -> None:
    error = Failure.of(RequestRefused("no such tool", "b", param="tools"), "b", 1.0).as_error()

    assert (error.status, error.kind, error.param, error.retryable) == (400, "invalid_request_error", "tools", False)


def test_an_ensemble_report_rounds_shares_and_keeps_the_unknown_null() -> None:
    report = EnsembleReport(2, 1, 2, "majority_vote", "a", None, 1 / 3, False, True, [Vote("a", "42", 1 / 3)])

    told = report.as_json()

    assert told["confidence_01"] is None
    assert told["support_01"] == 0.3333
    assert told["votes"] == [{"backend": "a", "answer": "42", "weight": 0.3333, "confidence_01": None}]
