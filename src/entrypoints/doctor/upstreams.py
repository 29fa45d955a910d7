"""Does each upstream accept its key, and have the models that LONGTASK_MODELS says it has?

Each is checked as a service would be that has no other.
"""

from dataclasses import replace

from adapters.prometheus import Metrics
from application.errors import ModelError
from domain.model_names import is_exact, matches_any
from entrypoints.doctor.findings import Findings, ok
from entrypoints.doctor.model import check_model
from entrypoints.doctor.prefill import check_prefill
from entrypoints.doctor.responses import check_responses
from entrypoints.lifecycle import close_all
from entrypoints.models import open_model
from entrypoints.settings.model import ModelSettings
from entrypoints.settings.model_map import MappedUpstream

_IN_THE_MAP = {
    "set LONGTASK_DEFAULT_MODEL to one that it offers": "correct its models or its names",
    "LONGTASK_OPENAI_API=chat": "its api to chat",
    "LONGTASK_PREFILL=off": "no prefill for it",
    "OPENAI_BASE_URL": "its baseUrl",
    "OPENAI_API_KEY": "its apiKey",
}
"""What the settings of the only server are in the map."""


async def check_models(settings: ModelSettings) -> Findings:
    if settings.models is None:
        async for finding in _check(settings):
            yield finding
        return
    for upstream in settings.models.upstreams:
        if upstream.demo:
            yield ok("model", f"{upstream.name}: the demo model answers, with a sample text")
            continue
        own = settings.at(upstream)
        tried = own.model_copy(update={"default_model": await _tried(own, upstream)})
        async for finding in _check(tried):
            advice = finding.advice
            for setting, instead in _IN_THE_MAP.items():
                advice = advice.replace(setting, instead)
            yield replace(finding, what=f"{upstream.name}: {finding.what}", advice=advice)


async def _check(settings: ModelSettings) -> Findings:
    async for finding in check_model(settings):
        yield finding
    if is_exact(settings.default_model):
        async for finding in check_prefill(settings):
            yield finding
        async for finding in check_responses(settings):
            yield finding


async def _tried(settings: ModelSettings, upstream: MappedUpstream) -> str:
    """Return the model that an upstream is tried with, as it calls it: one that it should have and
    does not list, if there is any. A pattern, if it lists none that matches."""
    model = open_model(settings, Metrics())
    try:
        offered = [each.name for each in await model.models()]
    except ModelError:
        offered = []
    finally:
        await close_all([model])
    known = [each for each in upstream.models if not matches_any(upstream.names, each)]
    named = [each for each in (*known, *upstream.names.values()) if is_exact(each)]
    missing = [each for each in named if each not in offered]
    matching = [each for each in offered if matches_any(upstream.models, each)]
    return next(iter([*missing, *named, *matching, *upstream.models]))
