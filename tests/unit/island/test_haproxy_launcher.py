"""The launcher: what it changes in a configuration that Ray generated."""

import json
import socket
from pathlib import Path

import pytest

from actors.island import haproxy_launcher
from actors.island.haproxy_launcher import OWN_ERRORS, envelope, error_page, listens, socket_address

GENERATED = """global
    log 127.0.0.1:514 local0 info
    maxconn 4096
defaults
    mode http
    log global
    option httplog
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
    server SERVE_REPLICA_troupe-ensemble-a1b2c3d4 127.0.0.1:30210 check observe layer4 on-error mark-down
    server SERVE_REPLICA_troupe-ensemble-e5f6a7b8 10.0.0.7:30211 check observe layer4 on-error mark-down
    server SERVE_PROXY_ACTOR-fallback-9eca652a 127.0.0.1:26002 check backup
listen stats
  bind *:8404
  stats enable
"""
PAGES = {status: Path(f"/run/{status}.http") for status in OWN_ERRORS}


def adjusted(config: str, pages: dict[int, Path], listening: str = "a1b2c3d4") -> str:
    """With the replicas that listen on sockets of their own on this machine."""
    return haproxy_launcher.adjusted(config, pages, listens=lambda replica: replica in listening)


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


def test_a_replica_on_this_machine_is_called_directly_and_checked_where_serve_says() -> None:
    servers = [line for line in adjusted(GENERATED, PAGES).splitlines() if line.lstrip().startswith("server ")]

    assert servers == [
        "    server SERVE_REPLICA_troupe-ensemble-a1b2c3d4 abns@troupe-a1b2c3d4"
        " check addr 127.0.0.1 port 30210 observe layer4 on-error mark-down",
        "    server SERVE_REPLICA_troupe-ensemble-e5f6a7b8 10.0.0.7:30211 check observe layer4 on-error mark-down",
        "    server SERVE_PROXY_ACTOR-fallback-9eca652a 127.0.0.1:26002 check backup",
    ]


def test_a_replica_listens_once_its_socket_does() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(socket_address("unit-test"))
        before = listens("unit-test")
        listener.listen()
        after = listens("unit-test")

    assert (before, after, listens("unit-test")) == (False, True, False)


def test_every_response_carries_a_request_id() -> None:
    frontend = adjusted(GENERATED, PAGES).partition("frontend http_frontend\n")[2]

    assert "http-after-response set-header x-request-id %[var(txn.request_id)]" in frontend


def test_requests_are_not_told_to_whoever_listens_to_syslog() -> None:
    config = adjusted(GENERATED, PAGES)

    assert "httplog" not in config
    assert "log " not in config


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
