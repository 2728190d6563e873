"""Is this actor's process alive, since when, and does anybody still look after it?"""

import os
import socket
from functools import cache
from pathlib import Path

from actors.protocol.clock import SYSTEM_CLOCK, Clock
from actors.protocol.messages import Pulse
from actors.resilience.aggregator import error_aggregator

ORPHANED_AFTER_S = 60.0  # a child whose supervisor has been silent this long ends itself


class Vitals:
    """What an actor knows of its own process; each actor holds one and answers probes with it."""

    def __init__(self, name: str, clock: Clock = SYSTEM_CLOCK) -> None:
        self.name = name
        self._clock = clock
        self._born_s = clock.monotonic_s()
        self._probed_s = self._born_s

    def pulse(self, healthy: bool = True, detail: str | None = None, **gauges: float) -> Pulse:
        """The answer to a probe, which also counts as a sign that the supervisor lives."""
        now_s = self._clock.monotonic_s()
        self._probed_s = now_s
        uptime_s = now_s - self._born_s
        return Pulse(
            name=self.name,
            pid=os.getpid(),
            node=socket.gethostname(),
            uptime_s=uptime_s,
            healthy=healthy,
            detail=detail,
            gauges=gauges,
            machine=this_machine(),
            errors=error_aggregator.total,
        )

    def orphaned(self) -> bool:
        """Whether nobody has probed for `ORPHANED_AFTER_S`."""
        return self._clock.monotonic_s() - self._probed_s > ORPHANED_AFTER_S


@cache
def this_machine() -> str | None:
    """What processes share that can signal each other: the running kernel and the process id namespace.

    `None` where that cannot be told.
    """
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None
