"""Does the provider of local models keep the contract of all providers? With SmolLM2-135M, no Ray."""

from collections.abc import AsyncGenerator

import pytest

from actors.protocol.messages import Call
from actors.providers.catalogue_view import pull_with_progress
from actors.providers.llama_cpp import LlamaCpp
from tests.unit.providers.contract_suite import ProviderContract, Subject


def call(text: str, **parameters: object) -> Call:
    body = {"messages": [{"role": "user", "content": text}], "temperature": 0, **parameters}
    return Call("r1", body, 60.0)


def metric(provider: LlamaCpp, name: str) -> int:
    """A counter of the runtime; none while it is not loaded."""
    runtime = provider._runtime
    lines = runtime.handle_metrics().splitlines() if runtime is not None else []
    return next((int(float(line.split()[-1])) for line in lines if line.startswith(f"llamacpp:{name} ")), 0)


class TestLlamaCpp(ProviderContract):
    @pytest.fixture
    async def subject(self) -> AsyncGenerator[Subject, None]:
        pull_with_progress(["smollm2-135m"])
        provider = LlamaCpp("small", "catalogue:smollm2-135m", context_size=512, parallel=3)
        await provider.start()
        yield Subject(
            provider,
            call("What is the capital of France? One word.", max_tokens=12),
            call("Tell me a story.", max_tokens=400, ignore_eos=True),
            call("x " * 1000),
            running=lambda: metric(provider, "requests_processing"),
            completions=lambda: metric(provider, "tokens_predicted_total"),
            patience_s=20.0,
        )
        await provider.aclose()
