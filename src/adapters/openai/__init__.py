"""Any server that speaks OpenAI's chat completions, through the official client."""

from adapters.openai.model import OpenAIModel

__all__ = ["OpenAIModel"]
