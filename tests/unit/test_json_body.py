"""Which media types a body may have."""

import pytest
from litestar import Request
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.testing import RequestFactory
from litestar.types import HTTPRequestEvent

from entrypoints.http.json_body import read_json_object

BEARER = "Bearer key"


async def read(media_type: str, authorization: str | None, *, plain_text: bool) -> object:
    headers = {"Content-Type": media_type}
    if authorization is not None:
        headers["Authorization"] = authorization

    async def receive() -> HTTPRequestEvent:
        return {"type": "http.request", "body": b'{"a": 1}', "more_body": False}

    scope = RequestFactory().post("/", headers=headers).scope
    return await read_json_object(Request(scope, receive), plain_text=plain_text)


@pytest.mark.parametrize("authorization", [None, BEARER])
@pytest.mark.parametrize("plain_text", [False, True])
async def test_json_is_read_everywhere(authorization: str | None, plain_text: bool) -> None:
    assert await read("application/json", authorization, plain_text=plain_text) == {"a": 1}


@pytest.mark.parametrize("media_type", ["text/plain", "Text/Plain;charset=UTF-8"])
@pytest.mark.parametrize("authorization", [BEARER, "bearer key"])
async def test_plain_text_is_read_with_a_bearer_token(media_type: str, authorization: str) -> None:
    assert await read(media_type, authorization, plain_text=True) == {"a": 1}


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
    with pytest.raises(ProblemDetailsException) as refused:
        await read(media_type, authorization, plain_text=plain_text)
    assert refused.value.status_code == 415
