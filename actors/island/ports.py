"""Which ports belong to this instance and to no other on this machine?"""

import contextlib
import random
import socket
from dataclasses import dataclass

from actors.protocol.errors import LLMError

BLOCK_SIZE = 100
FIRST_PORT, LAST_PORT = 20_000, 32_700  # below Linux's ephemeral range, so that no outgoing connection takes one


@dataclass(frozen=True, slots=True)
class PortBlock:
    """A hundred consecutive ports, held for as long as `guard` is open.

    The guard is a name in Linux's abstract socket namespace: it vanishes with the last process that holds it, and a
    second instance that picks the same block finds it taken even before anything listens there.
    """

    base: int
    guard: socket.socket

    @property
    def haproxy_stats(self) -> int:
        return self.base

    @property
    def haproxy_metrics(self) -> int:
        return self.base + 1

    @property
    def fallback_http(self) -> int:
        return self.base + 2

    @property
    def fallback_grpc(self) -> int:
        return self.base + 3

    @property
    def runtime_env_agent(self) -> int:
        return self.base + 4

    @property
    def replica_http(self) -> tuple[int, int]:
        """First and last port for the replicas' own HTTP servers."""
        return self.base + 10, self.base + 69

    @property
    def replica_grpc(self) -> tuple[int, int]:
        return self.base + 70, self.base + 99

    def close(self) -> None:
        self.guard.close()


def reserve_block(tries: int = 50) -> PortBlock:
    """A free block of ports. Raises `LLMError` when `tries` random blocks were all in use."""
    blocks = range(FIRST_PORT, LAST_PORT - BLOCK_SIZE, BLOCK_SIZE)
    for base in random.SystemRandom().sample(blocks, min(tries, len(blocks))):
        guard = _guard(base)
        if guard is None:
            continue
        if all(is_free("127.0.0.1", port) for port in range(base, base + BLOCK_SIZE)):
            return PortBlock(base, guard)
        guard.close()
    raise LLMError(f"No block of {BLOCK_SIZE} free ports was found between {FIRST_PORT} and {LAST_PORT}.")


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT do not count
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _guard(base: int) -> socket.socket | None:
    guard = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        guard.bind(f"\0troupe-ports-{base}")
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            guard.close()
        return None
    return guard
