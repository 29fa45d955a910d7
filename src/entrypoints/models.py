"""Opens what answers: the demo model, a server, or several upstreams. Nothing is connected yet.

Importing openai takes half a start, so it is imported once a server is to be asked.
"""

from adapters.demo import DemoModel
from adapters.prometheus import Metrics
from adapters.upstreams import RoutedModel, Upstream
from application.ports import LanguageModel
from entrypoints.providers import revealed
from entrypoints.settings.model import ModelSettings
from entrypoints.settings.model_map import ModelMap


def open_model(settings: ModelSettings, metrics: Metrics) -> LanguageModel:
    """Return the model that the settings choose."""
    if settings.models is not None:
        return _open_upstreams(settings, settings.models, metrics)
    if settings.demo:
        return DemoModel(settings.demo_speed)
    key, url = revealed(settings.openai_api_key), settings.openai_base_url
    timeout, environment = settings.model_read_timeout, settings.alone
    if settings.openai_api == "responses":
        from adapters.openai.responses import ResponsesModel  # noqa: PLC0415

        return ResponsesModel(
            key, url, timeout, delete=settings.delete_responses, environment=environment
        )
    from adapters.openai import OpenAIModel  # noqa: PLC0415

    server, unasked = settings.prefill_server, settings.prefill_unasked
    return OpenAIModel(key, url, timeout, server, prefill_unasked=unasked, environment=environment)


def _open_upstreams(settings: ModelSettings, found: ModelMap, metrics: Metrics) -> RoutedModel:
    upstreams = []
    for each in found.upstreams:
        own = settings.at(each)
        upstreams.append(
            Upstream(
                each.name,
                open_model(own, metrics),
                each.models,
                own.model_read_timeout,
                each.names,
                each.fallback,
                hosted_tools=each.keeps,
            )
        )
    return RoutedModel(upstreams, metrics.fell_back)
