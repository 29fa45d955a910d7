"""The accounts of a server, each known by its token."""

import hmac
from collections.abc import Callable, Iterable, Mapping

from adapters.database import DatabaseError, DatabaseUnavailable
from entrypoints.local_qstash.account import Account, AccountSettings
from entrypoints.local_qstash.refusals import Unavailable

Later = Mapping[str, Callable[[], AccountSettings]]
"""By their tokens: accounts that are opened when they are first used. Each function is called once,
blocks for some milliseconds, and raises DatabaseError or DatabaseUnavailable."""


class Accounts:
    def __init__(self, at_start: Iterable[AccountSettings], later: Later) -> None:
        """Opens those of the start. Must be called while an event loop runs."""
        self._open: dict[str, Account] = {}
        self._later = dict(later)
        for each in at_start:
            self._begin(each)

    async def aclose(self) -> None:
        for each in self._open.values():
            await each.aclose()

    def of(self, token: str) -> Account | None:
        """Return the account with this token, None if there is none. Raises Unavailable if its file
        cannot be opened."""
        known = _equal(self._open, token)
        if known is not None:
            return self._open[known]
        known = _equal(self._later, token)
        if known is None:
            return None
        try:
            account = self._begin(self._later[known]())
        except (DatabaseError, DatabaseUnavailable) as error:
            raise Unavailable(str(error)) from error
        del self._later[known]
        return account

    def _begin(self, settings: AccountSettings) -> Account:
        account = self._open[settings.token] = Account(settings)
        account.resume()
        return account


def _equal(tokens: Iterable[str], given: str) -> str | None:
    """Return which of them is the given one. The time that this takes does not depend on how many
    of its characters are right."""
    for each in tokens:
        if hmac.compare_digest(each.encode(), given.encode()):
            return each
    return None


def bearer_of(header: str) -> str:
    """Return the token in an Authorization header, or nothing."""
    scheme, _, token = header.partition(" ")
    return token if scheme.lower() == "bearer" else ""
