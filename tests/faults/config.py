"""The gateway whose first member is the provider that misbehaves."""

from tests.faults.cases import FAULTS

LIMITS = "timeout_s: 6, ttft_timeout_s: 3, stall_timeout_s: 3, max_retries: 2"
PATIENT = "timeout_s: 10, max_retries: 2"  # who is well may be slow when all is asked at once


def config(base_url: str, tls_url: str) -> str:
    """A configuration with one model per fault: the backend that has it, and after it one that is well."""
    backends = [
        f"  bad-{name}: {{provider: openai, base_url: '{tls_url if fault.tls else base_url}', model: {name}, {LIMITS}}}"
        for name, fault in FAULTS.items()
    ]
    well = [
        f"  {name}: {{provider: openai, base_url: '{base_url}', model: {name}, {PATIENT}}}"
        for name in ("good", "other")
    ]
    models = [
        f"  {name}: {{strategy: failover, members: [bad-{name}, {fault.then}], deadline_s: 40}}"
        for name, fault in FAULTS.items()
    ]
    return "\n".join(["backends:", *backends, *well, "models:", *models, ""])
