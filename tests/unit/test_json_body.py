"""Which media types a body may have."""

from typing import Any

import pytest
from litestar import Litestar, Request, post
from litestar.testing import AsyncTestClient

from entrypoints.http.json_body import read_json_object

BEARER = "Bearer key"


@post(["/json", "/plain"], status_code=200)
async def read_it(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return await read_json_object(request, plain_text=request.url.path == "/plain")


async def status_of(media_type: str, authorization: str | None, *, plain_text: bool) -> int:
    headers = {"Content-Type": media_type}
    if authorization is not None:
        headers["Authorization"] = authorization
    async with AsyncTestClient(Litestar([read_it])) as client:
        path = "/plain" if plain_text else "/json"
        reply = await client.post(path, content=b'{"a": 1}', headers=headers)
    assert reply.status_code != 200 or reply.json() == {"a": 1}
    return reply.status_code


@pytest.mark.parametrize("authorization", [None, BEARER])
@pytest.mark.parametrize("plain_text", [False, True])
async def test_json_is_read_everywhere(authorization: str | None, plain_text: bool) -> None:
    assert await status_of("application/json", authorization, plain_text=plain_text) == 200


@pytest.mark.parametrize("media_type", ["text/plain", "Text/Plain;charset=UTF-8"])
@pytest.mark.parametrize("authorization", [BEARER, "bearer key"])
async def test_plain_text_is_read_with_a_bearer_token(media_type: str, authorization: str) -> None:
    assert await status_of(media_type, authorization, plain_text=True) == 200


@pytest.mark.parametrize(
    ("media_type", "authorization", "plain_text"),
    [
        ("text/plain", BEARER, False),
        ("text/plain", None, True),
        # A browser adds these on its own, without a preflight request.
        ("text/plain", "Basic a2V5Og==", True),
        ("text/plain", "Negotiate a2V5", True),
        ("application/x-www-form-urlencoded", BEARER, True),
        ("multipart/form-data", BEARER, True),
    ],
)
async def test_all_else_is_refused(
    media_type: str, authorization: str | None, plain_text: bool
) -> None:
    assert await status_of(media_type, authorization, plain_text=plain_text) == 415
