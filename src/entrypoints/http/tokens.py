"""Tokens that open a part of the API without a key, signed (JWT, RFC 7519) and soon expired."""

import time
from collections.abc import Collection
from typing import Any

import jwt

_ALGORITHM = "HS256"


class Expired(Exception):
    """Raised for a token that was accepted before it expired."""


class Tokens:
    def __init__(self, secret: str, audience: str, claims: Collection[str]) -> None:
        """`secret` signs. Only tokens for this `audience` are accepted, and only with these
        `claims` beside owner and expiry."""
        self._secret = secret
        self._audience = audience
        self._required = ["exp", "aud", "sub", *claims]

    def make(self, owner: str, seconds: float, **claims: Any) -> tuple[str, int]:
        """Return a token of an owner and the second (since the Unix epoch) at which it expires."""
        expiry = int(time.time() + seconds)
        claims |= {"aud": self._audience, "sub": owner, "exp": expiry}
        return jwt.encode(claims, self._secret, _ALGORITHM), expiry

    def read(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token, or None if the text is no token that is accepted. Raises
        Expired."""
        try:
            return jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=self._audience,
                options={"require": self._required},
            )
        except jwt.ExpiredSignatureError:
            raise Expired from None
        except jwt.PyJWTError:
            return None
