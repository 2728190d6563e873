"""Wiring: what a backend's configuration means for whoever calls it."""

from pathlib import Path

import pytest

from actors.config.file import parse_config
from actors.routing.shares import Allowance
from actors.routing.table import Lease
from actors.sandbox import sandbox
from actors.wiring import lease_of, limit_of, sandbox_notices, sandbox_of

CONFIG = parse_config("""
backends:
  net: {provider: openai, base_url: "http://127.0.0.1:1/v1", model: m, api_key: sk-secret, max_concurrency: 8, rpm: 60}
  local: {provider: scripted, tpm: 1000}
""")


def test_a_network_backend_is_leased_with_its_address_and_credential_and_a_hosted_one_without() -> None:
    assert lease_of(CONFIG.backends["net"]) == Lease("http://127.0.0.1:1/v1", "sk-secret")
    assert lease_of(CONFIG.backends["local"]) == Lease(None)
    assert "sk-secret" not in repr(lease_of(CONFIG.backends["net"]))


def test_the_backends_actor_and_the_routing_table_know_the_same_limits() -> None:
    limits = {name: limit_of(backend) for name, backend in CONFIG.backends.items()}

    assert limits == {"net": Allowance(8, 60, None), "local": Allowance(64, None, 1000)}
    assert {name: record.limit for name, record in CONFIG.backend_records().items()} == limits


def test_there_is_a_sandbox_only_where_a_model_wants_code_to_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    model = "models: {m: {strategy: ensemble, members: [a, b], merge: best_of_n, verifier: tests}}"
    wanting = parse_config(f"backends: {{a: {{provider: scripted}}, b: {{provider: scripted}}}}\n{model}")
    monkeypatch.setattr(sandbox, "CELL", Path("/nowhere"))

    assert (sandbox_of(CONFIG), sandbox_notices(CONFIG)) == (None, [])
    (notice,) = sandbox_notices(wanting)
    assert notice.startswith("models.m.verifier has no effect on this machine, no code is run: ")
