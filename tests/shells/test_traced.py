"""Is every public operation of every component traced?"""

import inspect

import pytest

from actors.backend import Backend
from actors.edge.observatory import Observatory
from actors.edge.purse import Purse
from actors.edge.quality_watch import QualityWatch
from actors.ensemble import Ensemble
from actors.optimizer import Optimizer
from actors.router import Router
from actors.supervisor import Supervisor
from actors.tracer import Tracer

# Probes and health checks, those that wait on purpose or for ever, and requests, which are counted by their records.
UNTRACED: dict[type, set[str]] = {
    Backend: {"pulse"},
    Ensemble: {"complete", "open_stream", "check_health"},
    Observatory: set(),
    Optimizer: {"pulse"},
    Purse: {"renew_forever"},
    QualityWatch: {"look_forever"},
    Router: {"pulse", "newer_table"},
    Supervisor: {"pulse"},
    Tracer: {"pulse"},
}


@pytest.mark.parametrize("component", UNTRACED, ids=lambda component: component.__name__)
def test_every_public_operation_is_traced(component: type) -> None:
    operations = {
        name: function
        for name, function in vars(component).items()
        if not name.startswith("_") and (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))
    }

    untraced = {name for name, function in operations.items() if not hasattr(function, "__wrapped__")}

    assert untraced == UNTRACED[component]
