"""The launcher: what it changes in a configuration that Ray generated."""

import json
from pathlib import Path

import pytest

from actors.island.haproxy_launcher import OWN_ERRORS, adjusted, envelope, error_page

GENERATED = """global
    maxconn 4096
defaults
    mode http
    option splice-request
    option splice-response
    errorfile 502 /tmp/500.http
    errorfile 503 /tmp/500.http
frontend prometheus
    bind :9101
frontend http_frontend
    bind 127.0.0.1:8000
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path \\'%[path]\\' not found."
backend http-troupe
    log global
    http-reuse always
listen stats
  bind *:8404
  stats enable
"""
PAGES = {status: Path(f"/run/{status}.http") for status in OWN_ERRORS}


def test_stats_and_metrics_move_to_loopback_and_the_front_stays() -> None:
    lines = [line.strip() for line in adjusted(GENERATED, PAGES).splitlines() if "bind" in line]

    assert lines == ["bind 127.0.0.1:9101", "bind 127.0.0.1:8000", "bind 127.0.0.1:8404"]


def test_a_public_front_stays_public() -> None:
    config = adjusted(GENERATED.replace("bind 127.0.0.1:8000", "bind *:8000"), PAGES)

    assert "bind *:8000" in config


def test_our_error_pages_replace_rays() -> None:
    config = adjusted(GENERATED, PAGES)

    assert "/tmp/500.http" not in config
    assert all(f"errorfile {status} /run/{status}.http" in config for status in OWN_ERRORS)


def test_without_an_application_the_answer_is_a_retryable_503_in_the_envelope() -> None:
    config = adjusted(GENERATED, PAGES)

    assert "not found" not in config
    assert "http-request return status 503 content-type application/json hdr Retry-After 1" in config


def test_plain_text_errors_of_serve_become_the_envelope() -> None:
    backend = adjusted(GENERATED, PAGES).partition("backend http-troupe\n")[2]

    assert backend.lstrip().startswith("http-response return status 503")
    assert "!{ res.hdr(x-troupe-request-id) -m found }" in backend.splitlines()[0]


def test_headers_that_steer_serve_are_taken_from_callers() -> None:
    assert "http-request del-header x-request-timeout-seconds" in adjusted(GENERATED, PAGES)


def test_a_request_is_not_spliced_so_that_a_client_who_leaves_is_noticed() -> None:
    config = adjusted(GENERATED, PAGES)

    assert "splice-request" not in config
    assert "option splice-response" in config


def test_a_first_request_never_takes_a_used_connection_whose_loss_goes_unanswered() -> None:
    config = adjusted(GENERATED, PAGES)

    assert "http-reuse safe" in config
    assert "http-reuse always" not in config


def test_adjusting_twice_changes_nothing() -> None:
    once = adjusted(GENERATED, PAGES)

    assert adjusted(once, PAGES) == once


@pytest.mark.parametrize("status", OWN_ERRORS)
def test_an_error_page_is_a_whole_response_with_the_envelope(status: int) -> None:
    head, _, body = error_page(status).partition("\r\n\r\n")

    assert head.startswith(f"HTTP/1.1 {status} ")
    assert f"Content-Length: {len(body)}" in head
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}
    assert envelope(status) == body
