"""A LanguageModel that needs no account, so that all of the service can be tried without a key."""

from adapters.demo.model import MODEL_NAME, DemoModel

__all__ = ["MODEL_NAME", "DemoModel"]
