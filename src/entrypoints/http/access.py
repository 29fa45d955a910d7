"""Who the caller is: the owner of an API key, the bearer of a stream link, or anyone without keys.

Everything under /api but QStash's signed deliveries is guarded here. An EventSource sends no
headers, so a stream may also be opened by a link: a token for one task, read-only, that expires
soon. It is checked when a stream is opened, not while it runs.
"""

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import jwt
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from application.accounts import Caller
from entrypoints.api_keys import ApiKey, name_of
from entrypoints.http.paths import STREAM_PATH
from entrypoints.http.problems import problem

BY_LINK = "stream_link"
"""Mark (in a handler's `opt`) of a route that a stream link opens."""
_AUDIENCE = "longtask:stream"
_ALGORITHM = "HS256"


class Access:
    def __init__(
        self, keys: Sequence[ApiKey], secret: str, link_ttl: float, prefix: str = ""
    ) -> None:
        """Without `keys` every caller is admitted. `secret` signs stream links, which open a stream
        for `link_ttl` seconds, and begin with `prefix`."""
        self._keys = keys
        self._secret = secret
        self._link_ttl = link_ttl
        self._stream_path = prefix + STREAM_PATH

    async def guard(
        self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        """Identify the caller for the handler (`request.user`). Raises a problem (401)."""
        address = connection.client.host if connection.client else ""
        token = connection.query_params.get("token")
        authorization = connection.headers.get("authorization", "")
        if token is not None and not authorization and handler.opt.get(BY_LINK):
            task_id = connection.query_params.get("taskId")
            connection.scope["user"] = self.by_link(token, task_id, address)
        else:
            connection.scope["user"] = self.by_key(authorization, address)

    def by_key(self, authorization: str, address: str) -> Caller:
        """The caller that sent this Authorization header. Raises a problem (401)."""
        if not self._keys:
            return Caller(None, address)
        scheme, _, key = authorization.partition(" ")
        name = name_of(key.strip(), self._keys) if scheme.lower() == "bearer" else None
        if name is None:
            raise _unauthorized(
                "unauthorized",
                "An API key is required: Authorization: Bearer <key>."
                if not authorization
                else "The API key is not known.",
            )
        return Caller(name, address)

    def by_link(self, token: str, task_id: str | None, address: str) -> Caller:
        """The caller that a link to this task's stream was made for. Raises a problem (401)."""
        if not self._keys:
            return Caller(None, address)
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": ["exp", "aud", "sub", "task"]},
            )
        except jwt.ExpiredSignatureError:
            raise _unauthorized(
                "stream-link-expired",
                "The link has expired: GET /api/tasks/{taskId} gives another.",
            ) from None
        except jwt.PyJWTError:
            claims = {}
        owners = {key.name for key in self._keys}  # a key that was withdrawn has no links
        if task_id is None or claims.get("task") != task_id or claims["sub"] not in owners:
            raise _unauthorized("unauthorized", "The link does not open this task's stream.")
        return Caller(claims["sub"], address)

    def stream_url(self, task_id: str, owner: str | None) -> str:
        """The path and query of a task's stream. Where keys are needed, it holds a token, which
        opens the stream without a header until it expires."""
        query = {"taskId": task_id}
        if owner is not None and self._keys:
            claims = {
                "aud": _AUDIENCE,
                "sub": owner,
                "task": task_id,
                "exp": int(time.time() + self._link_ttl),
            }
            query["token"] = jwt.encode(claims, self._secret, _ALGORITHM)
        return f"{self._stream_path}?{urlencode(query)}"


def _unauthorized(kind: str, detail: str) -> Exception:
    return problem(401, kind, detail, headers={"WWW-Authenticate": 'Bearer realm="longtask"'})
