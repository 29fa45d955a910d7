"""Does the model's server keep its answers, as LONGTASK_OPENAI_API=responses needs it?

The default model is asked for a few tokens, and the answer is read twice: a server may take the
parameters of background mode and not know them.
"""

import asyncio
from contextlib import aclosing

from application.errors import ContinuationLost, ModelError
from application.ports import Finished, Kept, LanguageModel, Resumption
from domain.continuation import Continuation
from domain.request import TaskRequest
from entrypoints.doctor.findings import TIMEOUT, Findings, fail, ok
from entrypoints.providers import revealed
from entrypoints.settings.model import ModelSettings

_MORE_TIME = 3 * TIMEOUT
"""Seconds for the whole answer: background responses wait for their turn."""
_TOKENS = 16
"""OpenAI takes no smaller limit."""


async def check_responses(settings: ModelSettings) -> Findings:
    if settings.demo or settings.openai_api != "responses":
        return
    from adapters.openai.responses import ResponsesModel  # noqa: PLC0415  (slow to load)

    key, url = revealed(settings.openai_api_key), settings.openai_base_url
    model = ResponsesModel(key, url, _MORE_TIME, delete=True, environment=settings.alone)
    name = settings.default_model
    without = "set LONGTASK_OPENAI_API=chat, with which lost attempts begin anew"
    try:
        async with asyncio.timeout(_MORE_TIME):
            kept = await _keeps(model, name)
    except ContinuationLost:
        kept = False
    except ModelError as error:
        yield fail("model", f"{name} gives no background response: {error.message}", without)
        return
    except TimeoutError:
        yield fail("model", f"{name} gave no background response in {_MORE_TIME:g} s", without)
        return
    finally:
        await model.aclose()
    if kept:
        yield ok("model", f"the server of {name} keeps its answers")
    else:
        yield fail("model", f"the server of {name} answers, but does not keep its answers", without)


async def _keeps(model: LanguageModel, name: str) -> bool:
    """Whether an answer that was left in the middle can be read on."""
    request = TaskRequest(model=name, prompt="Say hello.", max_tokens=_TOKENS)
    async with aclosing(model.stream(request)) as items:
        item = await anext(items)
    if not isinstance(item, Kept):
        return False
    continuation = Continuation(1, model.keeper(name) or "", item.response_id)
    resumption = Resumption("doctor", continuation=continuation)
    async with aclosing(model.stream(request, resumption)) as items:
        ended = any([isinstance(item, Finished) async for item in items])
    await model.release(continuation, completed=True)
    return ended
