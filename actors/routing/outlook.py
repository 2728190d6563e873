"""What does a routing table let one expect of each backend, for those who ask later why it was chosen?"""

from actors.protocol.outlook import Outlook, Prospect
from actors.routing.table import BackendRecord, RoutingTable

UNKNOWN_TASK = "unknown"


def outlook_of(table: RoutingTable) -> Outlook:
    """The table's expectations, without its leases."""
    learned = table.weights.get(UNKNOWN_TASK, {})
    return Outlook(
        table.version,
        {name: _prospect(backend, learned.get(name, 1.0)) for name, backend in table.backends.items()},
        {name: table.leaves(name) for name in table.models},
        table.trust,
    )


def _prospect(backend: BackendRecord, learned: float) -> Prospect:
    price, measured = backend.price, backend.measured
    free = (0.0, 0.0) if backend.hosted else None
    return Prospect(
        state="revoked" if backend.is_revoked else backend.breaker,
        weight=backend.weight * learned,
        error_rate_01=measured.error_rate_01,
        per_mtok_usd=free if price is None else (price.input_per_mtok, price.output_per_mtok),
        p50_ms=measured.p50_ms,
        p95_ms=measured.p95_ms,
    )
