"""What can be said of one backend, and how does the routing table first know it?"""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from actors.config.list_prices import list_price
from actors.config.values import Count, Dollars, Number, Seconds, Secret, Section, Text, Whole, plain, usable_url
from actors.routing.table import BackendRecord, Price, Supports


class PriceConfig(Section):
    """List price in US dollars per million tokens."""

    input_per_mtok: Dollars
    output_per_mtok: Dollars


class SupportsConfig(Section):
    """What a backend's model can do beyond plain chat."""

    prefill: bool = False
    tools: bool = True
    vision: bool = False
    logprobs: bool = True


class AnyBackend(Section):
    """What can be said of a backend whatever its provider. `rpm`, `tpm`: requests and tokens per minute."""

    timeout_s: Seconds = 120.0
    ttft_timeout_s: Seconds = 20.0
    stall_timeout_s: Seconds = 15.0
    max_retries: Whole = Field(2, ge=0, le=100)
    breaker_failures: Whole = Field(5, ge=0, le=10_000)
    max_concurrency: Whole = Field(64, ge=1, le=100_000)
    rpm: Count | None = None
    tpm: Count | None = None
    weight: Number = Field(1.0, ge=0, le=1_000_000)
    price: PriceConfig | None = None
    context_window: Count | None = None
    supports: SupportsConfig = SupportsConfig()

    def _record(self, name: str, provider: str, model: str, hosted: bool, context: int | None) -> BackendRecord:
        return BackendRecord(
            name=name,
            provider=provider,
            model=model,
            hosted=hosted,
            weight=self.weight,
            timeout_s=self.timeout_s,
            ttft_timeout_s=self.ttft_timeout_s,
            stall_timeout_s=self.stall_timeout_s,
            max_retries=self.max_retries,
            breaker_failures=self.breaker_failures,
            max_concurrency=self.max_concurrency,
            rpm=self.rpm,
            tpm=self.tpm,
            context_window=self.context_window or context,
            price=Price(**dict(self.price)) if self.price else None,
            supports=Supports(**dict(self.supports)),
        )


class OpenAIBackend(AnyBackend):
    """A model behind a URL that speaks OpenAI's chat completions."""

    provider: Literal["openai"] = "openai"
    base_url: Text
    api_key: Secret | None = None
    model: Text

    @field_validator("base_url")
    @classmethod
    def _usable(cls, url: str) -> str:
        return usable_url(url)

    def record(self, name: str) -> BackendRecord:
        """This backend before anything was measured or leased; without a price of its own at the list price."""
        made = self._record(name, self.provider, self.model, hosted=False, context=None)
        return made if made.price else replace(made, price=list_price(self.base_url, self.model))


class LlamaCppBackend(AnyBackend):
    """Weights inside the backend's own actor.

    `model`: a path to a GGUF file, or `catalogue:NAME`. `context_size`: tokens per slot, prompt and answer together;
    `parallel`: slots, the requests it works on at once; `system`: sent where the caller sends no system message, the
    catalogue's own for the model if not set.
    """

    provider: Literal["llama_cpp"] = "llama_cpp"
    model: Text
    context_size: Whole = Field(4096, ge=1, le=10_000_000)
    parallel: Whole = Field(2, ge=1, le=256)
    threads: Whole = Field(1, ge=1, le=1024)
    system: str | None = None

    def record(self, name: str) -> BackendRecord:
        """This backend before anything was measured; its context is one slot's where nothing else is said."""
        return self._record(name, self.provider, self.model, hosted=True, context=self.context_size)


class ScriptedBackend(AnyBackend):
    """A model that follows a script, for tests; the provider knows what a script may say."""

    provider: Literal["scripted"] = "scripted"
    model: Text | None = None
    script: Annotated[dict[str, Any], BeforeValidator(plain)] = Field(default_factory=dict)

    def record(self, name: str) -> BackendRecord:
        """This backend before anything was measured."""
        return self._record(name, self.provider, self.model or name, hosted=True, context=None)


BackendConfig = Annotated[OpenAIBackend | LlamaCppBackend | ScriptedBackend, Field(discriminator="provider")]

PROVIDERS: dict[str, type[OpenAIBackend | LlamaCppBackend | ScriptedBackend]] = {
    "openai": OpenAIBackend,
    "llama_cpp": LlamaCppBackend,
    "scripted": ScriptedBackend,
}
