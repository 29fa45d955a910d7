"""Does the model's server go on from the beginning of an answer, as LONGTASK_PREFILL says?

The default model is asked for a few tokens: what a server does that does not know prefill cannot be
read anywhere, and would only be seen in the middle of a text.
"""

import asyncio
from contextlib import aclosing

from application.errors import ContinuationLost, ModelError
from application.ports import LanguageModel, Resumption
from domain.answer import Answer, Text
from domain.request import TaskRequest
from entrypoints.doctor.findings import TIMEOUT, Findings, fail, ok, warn
from entrypoints.providers import revealed
from entrypoints.settings.model import ModelSettings

_ASKED = "Write the numbers from one to ten as English words in one line, and nothing else."
_SAID = Answer("one two three four five")
_NEXT = "six"
_MORE = 8
"""Tokens that are asked for."""
_SHOWN = 60
"""Characters of the answer that are shown."""


async def check_prefill(settings: ModelSettings) -> Findings:
    kind, url = settings.prefill_server, settings.openai_base_url
    if kind is None or url is None:
        return
    from adapters.openai import OpenAIModel  # noqa: PLC0415  (slow to load, and only needed here)

    name = settings.default_model
    model = OpenAIModel(
        revealed(settings.openai_api_key), url, TIMEOUT, kind, environment=settings.alone
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            rest = await _rest(model, name)
    except ContinuationLost:
        yield warn(
            "model",
            f"{name} does not go on from the beginning of an answer: its server refuses to, or it "
            "reasons first",
            "lost attempts begin anew with it, as they do with LONGTASK_PREFILL=off",
        )
    except (ModelError, TimeoutError) as error:
        problem = error.code if isinstance(error, ModelError) else "model_timeout"
        yield warn(
            "model",
            f"whether {name} goes on by prefill could not be tried ({problem})",
            "start a task to see whether the model answers",
        )
    else:
        if rest.strip(" ,\n").lower().startswith(_NEXT):
            yield ok("model", f"{name} goes on from the beginning of an answer ({kind})")
            return
        yield fail(
            "model",
            f'{name} was to go on from "{_SAID.text}" and said "{rest[:_SHOWN]}"',
            f"is it {kind} that serves it? If not, set LONGTASK_PREFILL=off: a text would begin "
            "once more in its middle",
        )
    finally:
        await model.aclose()


async def _rest(model: LanguageModel, name: str) -> str:
    """Return what the model says next."""
    request = TaskRequest(
        model=name,
        prompt=_ASKED,
        max_tokens=_SAID.tokens + _MORE,
        temperature=0.0,
        prefill=True,
    )
    said: list[str] = []
    async with aclosing(model.stream(request, Resumption("doctor", _SAID))) as items:
        async for item in items:
            if isinstance(item, tuple):
                said += [each.text for each in item if isinstance(each, Text)]
    return "".join(said)
