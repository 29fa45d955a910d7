"""Flow-control keys: shown, paused, resumed, pinned, unpinned, and their rates reset."""

from typing import Any

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from entrypoints.local_qstash.account import Account
from entrypoints.local_qstash.bounds import LONGEST_PERIOD
from entrypoints.local_qstash.refusals import BadMessage
from entrypoints.local_qstash.routes.reading import not_found
from entrypoints.local_qstash.whole_numbers import whole_number


class FlowControlRoutes(Controller):
    path = "/v2"

    @get("/flowControl")
    async def show_all(
        self, account: NamedDependency[Account], search: FromQuery[str] = ""
    ) -> list[dict[str, Any]]:
        """`search`: a part of the keys, with which earlier SDKs look for some."""
        return [each for each in account.flows.all() if search in each["flowControlKey"]]

    @get("/flowControl/{key:str}")
    async def show(self, key: FromPath[str], account: NamedDependency[Account]) -> dict[str, Any]:
        shown = account.flows.get(key)
        if shown is None:
            raise not_found("flow-control key")
        return shown

    @post("/flowControl/{key:str}/pause", status_code=200)
    async def pause(self, key: FromPath[str], account: NamedDependency[Account]) -> None:
        await account.flows.pause(key)

    @post("/flowControl/{key:str}/resume", status_code=200)
    async def resume(self, key: FromPath[str], account: NamedDependency[Account]) -> None:
        await account.flows.resume(key)

    @post("/flowControl/{key:str}/pin", status_code=200)
    async def pin(
        self,
        key: FromPath[str],
        request: Request[Any, Any, Any],
        account: NamedDependency[Account],
    ) -> None:
        parallelism, rate, period = (
            _number(request, name) for name in ("parallelism", "rate", "period")
        )
        if parallelism is None and rate is None:
            raise BadMessage("a pin needs parallelism or rate")
        if rate is None and period is not None:
            raise BadMessage("a period needs a rate")
        if period is not None and period > LONGEST_PERIOD:
            raise BadMessage(f"invalid period: the longest has {LONGEST_PERIOD} seconds")
        await account.flows.pin(key, parallelism, None if rate is None else (rate, period or 1))

    @post("/flowControl/{key:str}/unpin", status_code=200)
    async def unpin(
        self,
        key: FromPath[str],
        request: Request[Any, Any, Any],
        account: NamedDependency[Account],
    ) -> None:
        parallelism, rate = _flag(request, "parallelism"), _flag(request, "rate")
        await account.flows.unpin(key, parallelism=parallelism, rate=rate)

    @post("/flowControl/{key:str}/resetRate", status_code=200)
    async def reset(self, key: FromPath[str], account: NamedDependency[Account]) -> None:
        await account.flows.reset(key)

    @get("/globalParallelism")
    async def parallelism(self, account: NamedDependency[Account]) -> dict[str, int]:
        return account.flows.parallelism()


def _number(request: Request[Any, Any, Any], name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    number = whole_number(text)
    if not number:
        raise BadMessage(f"invalid {name}: {text!r} is not a whole number above 0")
    return number


def _flag(request: Request[Any, Any, Any], name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text not in ("true", "false"):
        raise BadMessage(f"invalid {name}: {text!r} is neither true nor false")
    return text == "true"
