"""How many receivers a process calls at a time: at all, at one host, and for one owner.

A receiver that hangs holds its place for the whole time of a call. So one host has a few places
only, and one owner, who may name as many hosts as they like, has a share of them.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager

from application.errors import TooManyWebhooks

AT_ONCE, AT_ONCE_PER_OWNER, AT_ONCE_PER_HOST = 64, 16, 8


class Places:
    def __init__(self, look_up_of: Callable[[str], asyncio.Future[list[str]] | None]) -> None:
        """`look_up_of` returns the look-up of a host's name that is under way."""
        self._look_up_of = look_up_of
        self._total = 0
        self._hosts: Counter[str] = Counter()
        self._owners: Counter[str] = Counter()

    @contextmanager
    def taken(self, host: str, owner: str | None) -> Generator[None, None, None]:
        """Hold a place while a host is called. `owner`: who has named it; None has no share. The
        owner's place is held until the look-up of the name has ended, too, since that may outlast
        the call, and there is room for few. Raises TooManyWebhooks."""
        if self._total >= AT_ONCE or self._hosts[host] >= AT_ONCE_PER_HOST:
            raise TooManyWebhooks("as many receivers as allowed are being called")
        if owner is not None and self._owners[owner] >= AT_ONCE_PER_OWNER:
            raise TooManyWebhooks("as many receivers of one owner as allowed are being called")
        self._total += 1
        self._hosts[host] += 1
        if owner is not None:
            self._owners[owner] += 1
        try:
            yield
        finally:
            self._total -= 1
            _release(self._hosts, host)
            if owner is not None:
                self._release_owner(owner, self._look_up_of(host))

    def _release_owner(self, owner: str, look_up: asyncio.Future[list[str]] | None) -> None:
        if look_up is None:
            _release(self._owners, owner)
        else:
            look_up.add_done_callback(lambda _: _release(self._owners, owner))


def _release(held: Counter[str], name: str) -> None:
    held[name] -= 1
    if not held[name]:
        del held[name]
