"""LanguageModel for servers with OpenAI's Responses API, whose answers go on without us."""

from adapters.openai.responses.model import ResponsesModel

__all__ = ["ResponsesModel"]
