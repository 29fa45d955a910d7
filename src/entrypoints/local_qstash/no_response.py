"""Why a destination did not respond, in words for its author."""

import os
import ssl

import httpx

from entrypoints.local_qstash.delivery_response import DeliveryResponse

_ANY_FAILURE = "All connection attempts failed"
"""What httpx says of every failure to connect. The causes say which it was."""


def no_response(error: BaseException, limit: float) -> DeliveryResponse:
    """Return the response of status 0 for a delivery of at most `limit` seconds, which ended with
    an exception. Its body begins with "no response" and goes on with what the system says, and
    what the exception says besides; if neither says anything, with the exception's type."""
    return DeliveryResponse(0, {}, _words(error, limit).encode())


def _words(error: BaseException, limit: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no response within {limit:g} s"
    if isinstance(error, httpx.ConnectTimeout):
        return "no response: no connection in time"
    said = list(dict.fromkeys(_of_system(error)))
    own = str(error)
    if own and own != _ANY_FAILURE and not any(each in own.lower() for each in said):
        said.insert(0, own)
    return f"no response: {'; '.join(said) or type(error).__name__}"


def _of_system(error: BaseException | None) -> list[str]:
    """What the system says, of each address that was tried."""
    match error:
        case None:
            return []
        case BaseExceptionGroup():
            return [each for one in error.exceptions for each in _of_system(one)]
        case OSError(errno=int(number)) if not isinstance(error, ssl.SSLError):
            words = error.strerror or os.strerror(number)
            return [words[:1].lower() + words[1:]]
    return _of_system(error.__cause__ or error.__context__)
