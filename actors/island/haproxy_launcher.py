"""How is Ray Serve's HAProxy made to stay on loopback, to call our replicas directly and to speak our error envelope?

Ray starts this program in the place of HAProxy, with a configuration that it has just generated. It adjusts that file
and then becomes HAProxy (same process id: Ray compares them). It runs on the standard library alone and quickly, since
every change of the replicas is such a start.
"""

import ctypes
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

BINARY_VARIABLE = "TROUPE_HAPROXY_BINARY"

PR_SET_PDEATHSIG = 1
SOCKET_NAME_BYTES = 107  # HAProxy fills names in the abstract namespace up to what the kernel's structure holds

# What HAProxy says itself: status -> (reason, our type, our code, message).
OWN_ERRORS = {
    400: ("Bad Request", "invalid_request_error", "invalid_request", "The HTTP request could not be parsed."),
    408: ("Request Timeout", "invalid_request_error", "request_timeout", "The HTTP request did not arrive in time."),
    500: ("Internal Server Error", "server_error", "internal_error", "The gateway's front failed."),
    502: ("Bad Gateway", "server_error", "replica_lost", "The gateway lost the process that served this request."),
    503: ("Service Unavailable", "server_error", "restarting", "The gateway is starting or restarting; try again."),
    504: ("Gateway Timeout", "server_error", "timeout", "The gateway did not answer in time."),
}

# Serve obeys these client headers with plain-text answers and by ignoring disconnects: callers may not send them.
SERVE_HEADERS = ("x-request-timeout-seconds", "x-request-disconnect-disabled")

# The caller's id, or a new one, on every response: Serve's custom, kept where requests do not pass through Serve.
REQUEST_ID = """\
    http-request set-var(txn.request_id) req.hdr(x-request-id)
    http-request set-var-fmt(txn.request_id) "%[uuid()]" if !{ var(txn.request_id) -m found }
    http-after-response set-header x-request-id %[var(txn.request_id)]
"""


def envelope(status: int) -> str:
    """The OpenAI error envelope, as JSON, of an error that HAProxy answers itself."""
    _, kind, code, message = OWN_ERRORS[status]
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def error_page(status: int) -> str:
    """A whole HTTP response, as HAProxy's `errorfile` wants it."""
    body = envelope(status)
    retry = "Retry-After: 1\r\nx-should-retry: true\r\n" if status in (502, 503, 504) else ""
    return (
        f"HTTP/1.1 {status} {OWN_ERRORS[status][0]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-cache\r\n{retry}\r\n{body}"
    )


def socket_name(replica: str) -> str:
    """The name, in Linux's abstract namespace, of the socket on which a replica listens itself."""
    return f"troupe-{replica}"


def socket_address(replica: str) -> bytes:
    """The same as the kernel takes it."""
    return b"\0" + socket_name(replica).encode().ljust(SOCKET_NAME_BYTES, b"\0")


def listens(replica: str) -> bool:
    """Whether a replica of that name takes requests on a socket of its own, on this machine."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as attempt:
        attempt.settimeout(1.0)
        try:
            attempt.connect(socket_address(replica))
        except OSError:
            return False
    return True


def adjusted(config: str, pages: dict[int, Path], listens: Callable[[str], bool] = listens) -> str:
    """The configuration with our bindings, errors and ways. Unknown text stays; applying it twice changes nothing.

    `listens` tells of a replica, by the last part of its name, whether it can be called directly.
    """
    if "# adjusted by troupe" in config:
        return config
    config = _quiet(_direct(config, listens))
    for section in ("frontend prometheus", "listen stats"):  # the front itself listens where it was told to
        config = re.sub(rf"^({section}\n\s*bind )(?:\*|):(\d+)\s*$", r"\g<1>127.0.0.1:\2", config, flags=re.MULTILINE)
    config = re.sub(r"^\s*errorfile \d+ .*\n", "", config, flags=re.MULTILINE)
    # With it, HAProxy misses now and then that a client has left whose body came in a packet of its own.
    config = re.sub(r"^\s*option splice-request\s*\n", "", config, flags=re.MULTILINE)
    # A caller's first request on a connection that was used before would, when the replica dies, get no answer at all.
    config = config.replace("http-reuse always", "http-reuse safe")
    files = "".join(f"    errorfile {status} {path}\n" for status, path in pages.items())
    config = config.replace("defaults\n", f"# adjusted by troupe\ndefaults\n{files}", 1)
    stripped = "".join(f"    http-request del-header {name}\n" for name in SERVE_HEADERS)
    config = config.replace("frontend http_frontend\n", f"frontend http_frontend\n{stripped}{REQUEST_ID}", 1)
    restarting = _returned("http-request", 503)
    config = re.sub(
        r"^(backend default_backend\n)\s*http-request return .*$",
        lambda found: f"{found[1]}    {restarting}",
        config,
        flags=re.MULTILINE,
    )
    # What Serve itself answers carries no id of ours and is plain text.
    foreign = _returned("http-response", 503) + " if { status ge 400 } !{ res.hdr(x-troupe-request-id) -m found }"
    return re.sub(r"^backend http-\S+\n", lambda found: f"{found[0]}    {foreign}\n", config, flags=re.MULTILINE)


def _direct(config: str, listens: Callable[[str], bool]) -> str:
    """Sends requests to the replicas' own sockets. Whether a replica is healthy is still asked where Serve says."""

    def own_socket(found: re.Match[str]) -> str:
        server, replica, host, port, options = found.groups()
        if not listens(replica):
            return found[0]
        options = options.replace(" check", f" check addr {host} port {port}", 1)
        return f"{server} abns@{socket_name(replica)}{options}"

    server_line = r"^(\s*server SERVE_REPLICA\S*-(\w+)) ([\w.:\[\]]+):(\d+)( check.*)$"
    return re.sub(server_line, own_socket, config, flags=re.MULTILINE)


def _quiet(config: str) -> str:
    """Without a log line per request, sent to whoever may listen at the port of syslog."""
    return re.sub(r"^\s*(?:log global|option httplog|log 127\.0\.0\.1:514 .*)\n", "", config, flags=re.MULTILINE)


def _returned(rule: str, status: int) -> str:
    body = envelope(status).replace("\\", "\\\\").replace('"', '\\"')
    return f'{rule} return status {status} content-type application/json hdr Retry-After 1 string "{body}"'


def main() -> None:
    """Adjusts the file named by `-f` and becomes HAProxy."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    path = Path(sys.argv[sys.argv.index("-f") + 1])
    pages = {}
    for status in OWN_ERRORS:
        pages[status] = path.parent / f"troupe-{status}.http"
        pages[status].write_bytes(error_page(status).encode())
    path.write_text(adjusted(path.read_text(), pages))
    binary = os.environ[BINARY_VARIABLE]
    os.execv(binary, [binary, *sys.argv[1:]])


if __name__ == "__main__":
    main()
