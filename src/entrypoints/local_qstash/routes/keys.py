"""The signing keys."""

from litestar import Controller, get, post
from litestar.di import NamedDependency

from entrypoints.local_qstash.account import Account


class Keys(Controller):
    path = "/v2/keys"

    @get("/")
    async def show(self, account: NamedDependency[Account]) -> dict[str, str]:
        return account.keys

    @post("/rotate", status_code=200)
    async def rotate(self, account: NamedDependency[Account]) -> dict[str, str]:
        return await account.rotate_keys()
