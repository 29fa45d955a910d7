"""Does the model's server accept the key, and does it offer the default model?"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from entrypoints.doctor.findings import TIMEOUT, Findings, fail, ok, warn
from entrypoints.outside_text import without_password
from entrypoints.settings.model import ModelSettings

if TYPE_CHECKING:
    import openai

_CALLS = ("/chat/completions", "/completions", "/responses", "/models")
"""Paths under the base URL of a server, which people copy along with it."""

_SHOWN, _LONGEST_SHOWN = 3, 80
"""How many names of models are shown, and how many characters of each."""


async def check_model(settings: ModelSettings) -> Findings:
    if settings.demo:
        yield warn("model", "the demo model answers, with a sample text", "set OPENAI_API_KEY")
        return
    import openai  # noqa: PLC0415  (slow to load, and only needed here)

    key = settings.openai_api_key
    async with openai.AsyncOpenAI(
        api_key=key.get_secret_value() if key else "none",
        base_url=settings.openai_base_url,
        timeout=TIMEOUT,
        max_retries=0,
    ) as client:
        where = without_password(str(client.base_url))
        problem = "its models cannot be listed"
        try:
            offered = await _offered(client)
        except openai.AuthenticationError:
            yield fail("model", f"{where} refuses the key", "is OPENAI_API_KEY right?")
            return
        except openai.APIStatusError as error:
            offered, problem = None, f"{problem} ({error.status_code})"
        except openai.APIConnectionError:
            yield fail("model", f"{where} cannot be reached", "is OPENAI_BASE_URL right?")
            return
        if offered is None:
            for meant in _meant(where):
                if await _lists(client, meant):
                    yield fail(
                        "model",
                        f"{where} does not list models, but {meant} does",
                        f"set OPENAI_BASE_URL to {meant}",
                    )
                    return
            yield warn(
                "model",
                f"{where} responds, but {problem}",
                "start a task to see whether it works; if not, is OPENAI_BASE_URL right?",
            )
            return
    if settings.default_model in offered:
        yield ok("model", f"{where} offers {settings.default_model}")
    else:
        yield warn(
            "model",
            f"{where} does not list {settings.default_model}{_instead(offered)}",
            "set LONGTASK_DEFAULT_MODEL to one that it offers",
        )


def _instead(offered: list[str]) -> str:
    if not offered:
        return ""
    more = ", …" if len(offered) > _SHOWN else ""
    return f", but {', '.join(each[:_LONGEST_SHOWN] for each in offered[:_SHOWN])}{more}"


def _meant(where: str) -> Iterator[str]:
    """The base URLs that are likely meant by another address of the same server."""
    given = where.rstrip("/")
    base = next((given.removesuffix(each) for each in _CALLS if given.endswith(each)), given)
    if base != given:
        yield base
    if not base.endswith("/v1"):
        yield f"{base}/v1"


async def _offered(client: "openai.AsyncOpenAI") -> list[str] | None:
    """Return the names of the models, or None if the response is no list of models."""
    try:
        listed = await client.get("/models", cast_to=object)
        if isinstance(listed, str):  # whatever its content type does not call JSON
            listed = json.loads(listed)
    except ValueError:
        return None
    models = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(models, list):
        return None
    return [str(each["id"]) for each in models if isinstance(each, dict) and "id" in each]


async def _lists(client: "openai.AsyncOpenAI", base_url: str) -> bool:
    """Whether there is a list of models at this address, or a server that wants another key."""
    import openai  # noqa: PLC0415

    try:
        return await _offered(client.with_options(base_url=base_url)) is not None
    except openai.AuthenticationError:
        return True
    except openai.OpenAIError:
        return False
