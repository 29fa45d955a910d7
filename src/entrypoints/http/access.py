"""Who the caller is: the owner of an API key, the bearer of a token, or anyone without keys.

Everything under /api and /v1 but QStash's signed deliveries is guarded here. Two kinds of tokens,
which expire soon, are for browsers, since a page can hide no key:

- A stream link opens the stream of one task, and starts nothing. It holds its token in the query,
  since an EventSource sends no headers.
- The token of a chat is sent as a key is. It allows what it was made for: to send in this chat, to
  follow its tasks, to stop them. They count for the owner of the key that it was made with.

Keys and tokens are checked when a request begins. A token counts for as long as its owner has a
key, whichever key it was made with. Once the owner has none, its streams end (open_streams.py).
"""

from collections.abc import Collection
from typing import Any
from urllib.parse import urlencode

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from application.accounts import Caller
from entrypoints.http.paths import STREAM_PATH
from entrypoints.http.problems import problem
from entrypoints.http.tokens import Expired, Tokens
from entrypoints.valid_keys import ValidKeys

NEEDS_KEY = "needs_key"
"""Mark (in a handler's `opt`) of a route whose callers are identified."""
BY_LINK = "stream_link"
"""Mark of a route that a stream link opens."""
BY_CHAT_TOKEN = "chat_token"  # noqa: S105
"""Mark of a route that the token of a chat opens: which of CHAT_RIGHTS it needs."""
CHAT_RIGHTS = ("send", "follow", "stop")


class Access:
    def __init__(
        self,
        keys: ValidKeys,
        secret: str,
        link_ttl: float,
        prefix: str = "",
        chat_token_ttl: float = 0.0,
    ) -> None:
        """Where no `keys` are required, every caller is admitted. `secret` signs stream links,
        which open a stream for `link_ttl` seconds and begin with `prefix`, and the tokens of chats,
        which are good for at most `chat_token_ttl` seconds."""
        self._keys = keys
        self._links = Tokens(secret, "longtask:stream", ["task"])
        self._chat_tokens = Tokens(secret, "longtask:chat", ["chat", "may"])
        self._link_ttl = link_ttl
        self.chat_token_ttl = chat_token_ttl
        self._stream_path = prefix + STREAM_PATH

    def identify(
        self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        """Identify the caller for the handler (`request.user`), and the only chat that its token is
        for (`request.auth`, None for all others). Raises a problem (401 or 403)."""
        address = connection.client.host if connection.client else ""
        token = connection.query_params.get("token")
        authorization = connection.headers.get("authorization", "")
        user, chat = None, None
        if token is not None and not authorization and handler.opt.get(BY_LINK):
            task_id = connection.path_params.get("taskId") or connection.query_params.get("taskId")
            user = self.by_link(token, task_id, address)
        elif right := handler.opt.get(BY_CHAT_TOKEN):
            user, chat = self._by_chat_token(authorization, right, address)
        connection.scope["user"] = user or self.by_key(authorization, address)
        connection.scope["auth"] = chat

    def by_key(self, authorization: str, address: str) -> Caller:
        """The caller that sent this Authorization header. Raises a problem (401)."""
        if not self._keys.required:
            return Caller(None, address)
        name = self._keys.name_of(_bearer(authorization))
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
        if not self._keys.required:
            return Caller(None, address)
        try:
            claims = self._links.read(token)
        except Expired:
            raise _unauthorized(
                "stream-link-expired",
                "The link has expired: GET /api/tasks/{taskId} gives another.",
            ) from None
        if task_id is None or not claims or claims["task"] != task_id or not self._knows(claims):
            raise _unauthorized("unauthorized", "The link does not open this task's stream.")
        return Caller(claims["sub"], address)

    def stream_url(self, task_id: str, owner: str | None) -> str:
        """The path and query of a task's stream. Where keys are needed, it holds a token, which
        opens the stream without a header until it expires."""
        query = {"taskId": task_id}
        if owner is not None and self._keys.required:
            query["token"], _ = self._links.make(owner, self._link_ttl, task=task_id)
        return f"{self._stream_path}?{urlencode(query)}"

    def chat_token(
        self, owner: str, chat_id: str, seconds: float, rights: Collection[str]
    ) -> tuple[str, int]:
        """Return a token for a chat, and the second (since the Unix epoch) at which it expires."""
        return self._chat_tokens.make(owner, seconds, chat=chat_id, may=list(rights))

    def _by_chat_token(
        self, authorization: str, right: str, address: str
    ) -> tuple[Caller | None, str | None]:
        """Return the caller that a token was made for, and its chat: neither if the header holds no
        token. Raises a problem (401 or 403)."""
        try:
            claims = self._chat_tokens.read(_bearer(authorization)) if self._keys.required else None
        except Expired:
            raise _unauthorized(
                "chat-token-expired", "The token of the chat has expired."
            ) from None
        if not claims or not self._knows(claims):
            return None, None
        if right not in claims["may"]:
            raise problem(403, "chat-token-refused", f"The token does not allow to {right}.")
        return Caller(claims["sub"], address), claims["chat"]

    def _knows(self, claims: dict[str, Any]) -> bool:
        """Whether the owner of a token still has a key."""
        return claims["sub"] in self._keys.names


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _unauthorized(kind: str, detail: str) -> Exception:
    return problem(401, kind, detail, headers={"WWW-Authenticate": 'Bearer realm="longtask"'})
