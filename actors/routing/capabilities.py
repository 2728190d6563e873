"""Which backends can take this request at all?"""

from dataclasses import dataclass

from actors.protocol.messages import JsonObject
from actors.routing.table import BackendRecord

CHARACTERS_PER_TOKEN = 6  # more than prose of any language has: who is excluded by it cannot hold the prompt


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request needs of a model. `least_tokens`: how many its prompt has at the very least."""

    tools: bool = False
    vision: bool = False
    least_tokens: int = 0

    def unmet_by(self, backend: BackendRecord) -> str | None:
        """What the backend lacks, in words; `None` when it lacks nothing."""
        if self.tools and not backend.supports.tools:
            return "it does not support tools"
        if self.vision and not backend.supports.vision:
            return "it does not support images (supports.vision)"
        if backend.context_window is not None and self.least_tokens > backend.context_window:
            return f"its context window of {backend.context_window} tokens is too small"
        return None


def needs_of(body: JsonObject) -> Needs:
    """What the OpenAI parameters of a chat completion ask for."""
    characters, vision = 0, False
    for message in body.get("messages") or ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            characters += len(content)
        elif isinstance(content, list):
            for part in content:
                if isinstance(part, dict):
                    vision = vision or part.get("type") in ("image_url", "input_image")
                    characters += len(part["text"]) if isinstance(part.get("text"), str) else 0
    return Needs(bool(body.get("tools") or body.get("functions")), vision, characters // CHARACTERS_PER_TOKEN)
