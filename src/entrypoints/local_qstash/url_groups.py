"""URL groups: names for several destinations. A message that is published to a group is published
to each of its endpoints.

Source: QStash's documentation, features/url-groups. It also calls them topics.
"""

import asyncio
import json
import time
from typing import Any, NamedTuple, Self

from entrypoints.local_qstash.bounds import ENDPOINTS, GROUP_BYTES
from entrypoints.local_qstash.names import checked_name
from entrypoints.local_qstash.publish_headers import http_url
from entrypoints.local_qstash.records import SCHEDULES, URL_GROUPS, Records
from entrypoints.local_qstash.refusals import BadMessage, InUse


class Endpoint(NamedTuple):
    url: str
    name: str | None = None

    @classmethod
    def read(cls, given: Any) -> Self:
        """Return what a request to add an endpoint names. Raises BadMessage."""
        named = _Named.read(given)
        if named.url is None:
            raise BadMessage("an endpoint has a url")
        if named.name:
            checked_name(named.name, "name of an endpoint")
        return cls(http_url(named.url, "url of an endpoint"), named.name or None)

    def as_json(self) -> dict[str, str]:
        return {"url": self.url} if self.name is None else {"name": self.name, "url": self.url}


class _Named(NamedTuple):
    """What a request says of an endpoint: its URL, its name, or both."""

    url: str | None
    name: str | None

    @classmethod
    def read(cls, given: Any) -> Self:
        if not isinstance(given, dict):
            raise BadMessage("each of endpoints must be an object with url or name")
        url, name = given.get("url"), given.get("name")
        for each in (url, name):
            if not isinstance(each, str | None):
                raise BadMessage("url and name of an endpoint must be texts")
        if url is None and name is None:
            raise BadMessage("an endpoint has a url or a name")
        return cls(url, name)

    def means(self, endpoint: Endpoint) -> bool:
        return self.url in (None, endpoint.url) and self.name in (None, endpoint.name)


class UrlGroups:
    def __init__(self, records: Records) -> None:
        self._records = records
        self._changing = asyncio.Lock()

    def all(self) -> list[dict[str, Any]]:
        """Return them as `GET /v2/topics` shows them."""
        return list(self._records.of(URL_GROUPS).values())

    def get(self, name: str) -> dict[str, Any] | None:
        return self._records.of(URL_GROUPS).get(name)

    def endpoints(self, name: str) -> list[Endpoint]:
        """Return those of the group, none if there is no such group."""
        group = self.get(name) or {"endpoints": []}
        return [Endpoint(each["url"], each.get("name")) for each in group["endpoints"]]

    async def add(self, name: str, given: Any) -> None:
        """Add the endpoints in this list. Each replaces an earlier one with its URL or its name. A
        group that does not exist is created. Raises BadMessage, TooMany or Unavailable."""
        checked_name(name, "name of a URL group")
        added = [Endpoint.read(each) for each in _listed(given)]
        async with self._changing:
            await self._keep(name, _with(self.endpoints(name), added))

    async def remove(self, name: str, given: Any) -> None:
        """Remove the endpoints that this list names by URL, name or both. A group without endpoints
        is deleted. Raises BadMessage, InUse or Unavailable."""
        unwanted = [_Named.read(each) for each in _listed(given)]
        async with self._changing:
            endpoints = self.endpoints(name)
            left = [each for each in endpoints if not any(named.means(each) for named in unwanted)]
            if not left:
                await self._drop(name)
            elif left != endpoints:
                await self._keep(name, left)

    async def delete(self, name: str) -> None:
        """Delete the group, if there is one. Raises InUse if a schedule publishes to it, or
        Unavailable."""
        async with self._changing:
            await self._drop(name)

    async def _drop(self, name: str) -> None:
        for schedule_id, schedule in self._records.of(SCHEDULES).items():
            if schedule["destination"] == name:
                raise InUse(
                    f"the schedule {schedule_id} publishes to this URL group: delete it first"
                )
        await self._records.drop(URL_GROUPS, name)

    async def _keep(self, name: str, endpoints: list[Endpoint]) -> None:
        now = int(time.time() * 1000)
        group = {
            "name": name,
            "createdAt": (self.get(name) or {"createdAt": now})["createdAt"],
            "updatedAt": now,
            "endpoints": [each.as_json() for each in endpoints],
        }
        if len(json.dumps(group)) > GROUP_BYTES:
            raise BadMessage(f"a URL group has at most {GROUP_BYTES} bytes")
        await self._records.put(URL_GROUPS, name, group)


def _with(endpoints: list[Endpoint], added: list[Endpoint]) -> list[Endpoint]:
    for new in added:
        same = [
            each
            for each in endpoints
            if each.url == new.url or (each.name == new.name and new.name is not None)
        ]
        place = endpoints.index(same[0]) if same else len(endpoints)
        endpoints = [each for each in endpoints if each not in same]
        endpoints.insert(place, new)
    if len(endpoints) > ENDPOINTS:
        raise BadMessage(f"a URL group has at most {ENDPOINTS} endpoints")
    return endpoints


def _listed(given: Any) -> list[Any]:
    endpoints = given.get("endpoints") if isinstance(given, dict) else None
    if not isinstance(endpoints, list) or not endpoints:
        raise BadMessage("endpoints must be a list of at least one")
    if len(endpoints) > ENDPOINTS:
        raise BadMessage(f"endpoints must be a list of at most {ENDPOINTS}")
    return endpoints
