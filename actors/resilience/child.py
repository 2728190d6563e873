"""What does the supervisor know of one actor?"""

import logging
from dataclasses import dataclass

from actors.protocol.messages import ActorState, ActorStatus, Pulse, Role
from actors.resilience.supervision import RestartIntensity

log = logging.getLogger("troupe.supervisor")

_UNFIT: frozenset[ActorState] = frozenset({"degraded", "restarting", "dead"})


@dataclass(slots=True)
class Child:
    """What is known of one actor: `pulse` is its present process's last, `pid` that of the last process that answered.

    Times are readings of the supervisor's clock.
    """

    role: Role
    changed_s: float
    intensity: RestartIntensity
    state: ActorState = "starting"
    pulse: Pulse | None = None
    pid: int | None = None
    strikes: int = 0
    restarts: int = 0
    is_restarted_by_us: bool = False
    detail: str | None = None
    last_reason: str | None = None

    def become(self, state: ActorState, now_s: float, detail: str | None = None) -> None:
        if state != self.state:
            log.info("%s: %s -> %s%s", self.role.name, self.state, state, f" ({detail})" if detail else "")
            self.changed_s = now_s
            if state == "restarting":
                self.last_reason = detail
        self.state, self.detail = state, detail

    @property
    def is_unfit(self) -> bool:
        """Whether others should be asked instead; at its first start a model is waited for."""
        return self.state in _UNFIT or (self.state == "starting" and self.restarts > 0)

    def status(self) -> ActorStatus:
        pulse = self.pulse
        return ActorStatus(
            name=self.role.name,
            kind=self.role.kind,
            state=self.state,
            pid=pulse.pid if pulse else None,
            node=pulse.node if pulse else None,
            restarts=self.restarts,
            uptime_s=round(pulse.uptime_s, 1) if pulse and self.state in ("alive", "degraded") else None,
            detail=self.detail or (self.last_reason and f"last restart: {self.last_reason}"),
            errors=pulse.errors if pulse else 0,
        )
