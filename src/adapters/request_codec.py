"""The form in which stores and queues keep a request: `{"v": 1, "model": "m", ...}`.

The fields are those of `domain.request.TaskRequest`, by their own names, without those at their
default. The class itself is the schema: a field that is added to it is stored, queued and part of
the fingerprint of an idempotency key, and nothing is written here.

The version must grow with every change that an instance of the version before would misread: a new
field that it would drop, a value or a bound that it would refuse. An instance refuses a version
that it does not know, and leaves the request to one that does. It has to go on reading those that
came before its own. A request is written in the lowest version that says all of it, so that
instances of an older version run what they can:

1. has a limit of tokens and a temperature,
2. may have neither,
3. may have options, a history, an echo, a time to live, and messages of any role and form,
4. may have a delay, a time not to begin before, a deadline, or a webhook,
5. may say whether it may be continued by prefill,
6. may have flow control or a budget.

Nothing is checked but the types: the bounds may have changed since the request was accepted.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.request import TaskRequest

VERSION = 6
LAST_FLAT_VERSION = 2
"""The last one in which a request is a text or messages of texts. The version before reads no
other."""


class UnknownVersion(ValueError):
    """Raised for what another version of this service wrote: an instance of it can read this."""

    def __init__(self, what: str, version: int, known: int) -> None:
        super().__init__(f"{what} has version {version}, this instance reads {known}")


def check_version(what: str, version: object, known: int, first: int | None = None) -> None:
    """Raise UnknownVersion for a version of `what` that is not one from `first` to `known`, and
    ValueError for what is no version."""
    if not isinstance(version, int):
        raise ValueError(f"{what} has no version")  # noqa: TRY004  (it was read, not passed)
    if not (known if first is None else first) <= version <= known:
        raise UnknownVersion(what, version, known)


def request_to_plain(request: TaskRequest) -> dict[str, Any]:
    """Return the request as JSON's own types."""
    return {"v": _version(request), **request.to_fields()}


def _version(request: TaskRequest) -> int:
    simple = all(
        message.keys() == {"role", "content"}
        and message["role"] in ("system", "user", "assistant")
        and isinstance(message["content"], str)
        for message in request.messages
    )
    if request.flow_control is not None or request.budget_tokens is not None:
        return 6
    if request.prefill is not None:
        return 5
    newest = request.delay, request.not_before, request.deadline, request.webhook_url
    if any(each is not None for each in newest):
        return 4
    rest = request.options, request.echo, request.previous_task_id, request.history, request.ttl
    if not simple or any(rest):
        return 3
    return 1 if request.max_tokens is not None and request.temperature is not None else 2


def request_from_plain(plain: Mapping[str, Any]) -> TaskRequest:
    """Return the request of what `request_to_plain` returned. Raises UnknownVersion, and
    ValueError for anything else that is none."""
    check_version("the request", plain.get("v"), VERSION, first=1)
    try:
        request = msgspec.convert(plain, TaskRequest)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    if request.prompt is None and not request.messages:
        raise ValueError("the request has neither a prompt nor messages")
    return request
