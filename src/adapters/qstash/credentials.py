"""The token that a QStash accepts and the keys that it signs with, and which of them are public.

QStash's development server has the same ones everywhere. With such a token anyone can publish, and
read the keys (`GET /v2/keys`); with a key anyone can sign a delivery, and so run any task in any
owner's name, past every limit.
"""

import secrets
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True)
class QueueCredentials:
    token: str = field(repr=False)
    current_key: str = field(repr=False)
    next_key: str = field(repr=False)

    @classmethod
    def random(cls) -> Self:
        """For a queue that only its own service uses."""
        # HS256 wants a key of 256 bits or more (RFC 7518, section 3.2).
        keys = (f"sig_{secrets.token_urlsafe(32)}" for _ in range(2))
        return cls(f"embedded_{secrets.token_urlsafe(32)}", *keys)


# QStash's documentation, howto/local-development; JavaScript SDK, src/dev-server/constants.ts.
DEVELOPMENT_USERS = {
    "defaultUser": QueueCredentials(
        "eyJVc2VySUQiOiJkZWZhdWx0VXNlciIsIlBhc3N3b3JkIjoiZGVmYXVsdFBhc3N3b3JkIn0=",
        "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r",
        "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs",
    ),
    "testUser1": QueueCredentials(
        "eyJVc2VySUQiOiJ0ZXN0VXNlcjEiLCJQYXNzd29yZCI6InRlc3RQYXNzd29yZCJ9",
        "sig_7GVPjvuwsfqF65iC8fSrs1dfYruM",
        "sig_5NoELc3EFnZn4DVS5bDs2Nk4b7Ua",
    ),
    "testUser2": QueueCredentials(
        "eyJVc2VySUQiOiJ0ZXN0VXNlcjIiLCJQYXNzd29yZCI6InRlc3RQYXNzd29yZCJ9",
        "sig_6jWGaWRxHsw4vMSPJprXadyvrybF",
        "sig_7qHbvhmahe5GwfePDiS5Lg3pi6Qx",
    ),
    "testUser3": QueueCredentials(
        "eyJVc2VySUQiOiJ0ZXN0VXNlcjMiLCJQYXNzd29yZCI6InRlc3RQYXNzd29yZCJ9",
        "sig_5T8FcSsynBjn9mMLBsXhpacRovJf",
        "sig_7GFR4YaDshFcqsxWRZpRB161jguD",
    ),
}
"""The users of QStash's development server, by the names that their tokens say."""
DEVELOPMENT = DEVELOPMENT_USERS["defaultUser"]
"""The default user."""

_OBSOLETE_KEYS = ("sig_7RvLjqfZBvP5KEUimQCE1pvpLuou", "sig_7W3ZNbfKWk5NWwEs3U4ixuQ7fxwE")
# A sample output of January 2025 in the documentation of Upstash Workflow, and this repository.
_KEYS = frozenset(_OBSOLETE_KEYS).union(
    *({each.current_key, each.next_key} for each in DEVELOPMENT_USERS.values())
)
_TOKENS = frozenset(each.token.rstrip("=") for each in DEVELOPMENT_USERS.values())


def is_development_key(key: str) -> bool:
    """Whether a signing key is public."""
    return key.strip() in _KEYS


def is_development_token(token: str) -> bool:
    """Whether a token is public. The padding of its base64 does not matter."""
    return token.strip().rstrip("=") in _TOKENS
