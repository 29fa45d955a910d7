"""The official client of OpenAI's API, as its users make one."""

from contextlib import AbstractContextManager
from typing import Any

from openai import OpenAI

from tests.running import Running
from tests.waiting import within


def openai_client(
    service: Running | str, key: str = "any", **options: Any
) -> AbstractContextManager[OpenAI]:
    """It does not repeat what fails, unless the options say so."""
    url = service if isinstance(service, str) else service.url
    asked = {"max_retries": 0, "timeout": within(20.0), **options}
    return OpenAI(base_url=f"{url}/v1", api_key=key, **asked)
