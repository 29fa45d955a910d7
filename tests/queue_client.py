"""A client of a local QStash."""

import httpx

from adapters.qstash import DEVELOPMENT
from tests.waiting import within


def queue_client(url: str, token: str = DEVELOPMENT.token) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=within(20))
