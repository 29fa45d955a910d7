"""URL groups and their endpoints."""

from typing import Any

from litestar import Controller, Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from entrypoints.local_qstash.account import Account
from entrypoints.local_qstash.routes.reading import json_of, not_found


class UrlGroupRoutes(Controller):
    path = "/v2/topics"

    @get("/")
    async def list_groups(self, account: NamedDependency[Account]) -> list[dict[str, Any]]:
        return account.url_groups.all()

    @get("/{name:str}")
    async def show(self, name: FromPath[str], account: NamedDependency[Account]) -> dict[str, Any]:
        group = account.url_groups.get(name)
        if group is None:
            raise not_found("URL group")
        return group

    @delete("/{name:str}", status_code=200)
    async def delete_group(self, name: FromPath[str], account: NamedDependency[Account]) -> None:
        await account.url_groups.delete(name)

    @post("/{name:str}/endpoints", status_code=200)
    async def add(
        self,
        request: Request[Any, Any, Any],
        name: FromPath[str],
        account: NamedDependency[Account],
    ) -> None:
        await account.url_groups.add(name, await json_of(request))

    @delete("/{name:str}/endpoints", status_code=200)
    async def remove(
        self,
        request: Request[Any, Any, Any],
        name: FromPath[str],
        account: NamedDependency[Account],
    ) -> None:
        await account.url_groups.remove(name, await json_of(request))
