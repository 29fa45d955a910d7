"""LanguageModel for any server with OpenAI's chat completions API, through the official client."""

from adapters.openai.model import OpenAIModel

__all__ = ["OpenAIModel"]
