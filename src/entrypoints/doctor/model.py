"""Does the model's server accept the key, and does it offer the default model?"""

from entrypoints.doctor.findings import TIMEOUT, Findings, fail, ok, warn
from entrypoints.settings.model import ModelSettings


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
        where = str(client.base_url)
        try:
            offered = [model.id async for model in client.models.list()]
        except openai.AuthenticationError:
            yield fail("model", f"{where} refuses the key", "is OPENAI_API_KEY right?")
            return
        except openai.APIStatusError as error:
            yield warn(
                "model",
                f"{where} responds, but its models cannot be listed ({error.status_code})",
                "start a task to see whether it works",
            )
            return
        except openai.APIConnectionError:
            yield fail("model", f"{where} cannot be reached", "is OPENAI_BASE_URL right?")
            return
    if settings.default_model in offered:
        yield ok("model", f"{where} offers {settings.default_model}")
    else:
        yield warn(
            "model",
            f"{where} does not list {settings.default_model}",
            "set LONGTASK_DEFAULT_MODEL to one that it offers",
        )
