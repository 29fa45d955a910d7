"""The body of our messages on QStash: the whole request, so that a delivery alone can make a lost
record anew. A message that would be longer than the bound names the request by its digest instead:
then only the store has the request, and can lose it.

`VERSION` is that of the fields around the request, which has a version of its own. It must grow
with every change that an instance of the version before would misread. A message is written in the
lowest version that says all of it:

1. has the request,
2. has the digest, the size and the model of the request,
3. is the guard of a task,
4. is the announcement of a webhook.

The service that this one replaced published `{taskId, prompt, model, maxTokens, temperature}`, at
the same address and signed in the same way. Such a message is run too, so that nothing that was
queued at the switch-over is lost.
"""

import dataclasses
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from adapters.qstash.retry_delay import MalformedRetryDelay, RetryDelay
from adapters.request_codec import check_version, request_from_plain, request_to_plain
from application.ports import Announcement, Delivery, Guard
from domain.errors import DomainError
from domain.request import TaskRequest
from domain.task import Task
from domain.task_id import check_task_id
from domain.webhook import Webhook

VERSION = 4
MESSAGE_LIMIT = 512 * 1024
"""Bytes of a message with its request, unless the settings say otherwise. QStash's smallest plan
accepts 1 MB, and a failure callback holds the message in base64, a third longer."""
OLDER_MAX_ATTEMPTS = 4
"""The older system left the number of retries to QStash, whose default is 3."""


class _Target(msgspec.Struct, omit_defaults=True):
    """A webhook of a task that has not ended."""

    url: str
    service: bool = False


class _Message(msgspec.Struct, rename="camel", omit_defaults=True):
    v: int
    task_id: str
    created_at: int
    max_retries: int
    """How many deliveries may follow the first. QStash does not tell the receiver."""
    request: dict[str, Any]
    owner: str | None = None
    origin: str | None = None
    retry_of: str | None = None
    not_before: int | None = None
    deadline: int | None = None
    guard_id: str | None = None
    webhooks: tuple[_Target, ...] = ()
    """An instance that does not know these makes the record without them. So they need no new
    version."""
    retry_delay: str | None = None
    """The message's retry-delay expression. QStash does not tell the receiver. An instance that
    does not know it cannot tell when the next attempt begins."""


class _Reference(msgspec.Struct, rename="camel", omit_defaults=True):
    """A message without its request."""

    v: int
    task_id: str
    created_at: int
    max_retries: int
    model: str
    request_size: int
    request_digest: str
    owner: str | None = None
    origin: str | None = None
    ttl: int | None = None
    retry_of: str | None = None
    not_before: int | None = None
    deadline: int | None = None
    guard_id: str | None = None
    webhooks: tuple[_Target, ...] = ()
    retry_delay: str | None = None
    own_flow: bool = False
    """An instance that does not know this does not hold the share of the owner."""


class _Guard(msgspec.Struct, rename="camel", omit_defaults=True):
    v: int
    task_id: str
    round: int = 0


_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Announcement(msgspec.Struct, rename="camel", omit_defaults=True):
    v: int
    task_id: str
    number: _Count
    url: str
    finished_at: int
    event: dict[str, Any]
    service: bool = False
    owner: str | None = None
    round: _Count = 0
    calls: _Count = 0
    uncalled: _Count = 0


class _OlderMessage(msgspec.Struct, rename="camel"):
    task_id: str
    prompt: str
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class OlderMessages:
    """How messages of the older system are run."""

    owner: str | None
    """Who owns their tasks."""
    default_model: str
    """The model of a message that names none."""


_EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
"""It becomes a header of the webhook."""
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def encode(
    task: Task,
    request: TaskRequest,
    max_retries: int,
    limit: int = MESSAGE_LIMIT,
    retry_delay: str | None = None,
) -> bytes:
    """Return a message. It holds the request if it then has at most `limit` bytes. `retry_delay`:
    the expression with which it is published."""
    facts = (task.id, task.created_at, max_retries)
    known: dict[str, Any] = {
        "owner": task.owner,
        "origin": task.origin,
        "retry_of": task.retry_of,
        "not_before": task.not_before,
        "deadline": task.deadline,
        "guard_id": task.guard_id,
        "webhooks": tuple(_Target(each.url, each.service) for each in task.webhooks),
        "retry_delay": retry_delay,
    }
    whole = msgspec.json.encode(_Message(1, *facts, request_to_plain(request), **known))
    size = len(whole)
    if size <= limit:
        return whole
    del whole
    named = (request.model, size, request.digest())
    own_flow = request.flow_control is not None
    return msgspec.json.encode(
        _Reference(2, *facts, *named, ttl=task.ttl, own_flow=own_flow, **known)
    )


def encode_guard(guard: Guard) -> bytes:
    return msgspec.json.encode(_Guard(3, guard.task_id, guard.round))


def encode_announcement(announcement: Announcement) -> bytes:
    fields = {
        each.name: getattr(announcement, each.name) for each in dataclasses.fields(announcement)
    }
    return msgspec.json.encode(_Announcement(4, **fields))


def decode(
    body: bytes | bytearray,
    now: int,
    older: OlderMessages | None = None,
    retried: int | None = None,
) -> Delivery | Guard | Announcement:
    """Return what a message delivers. Without `older`, messages of the older system are refused;
    `now` is when their tasks were created, since they do not say. `retried`: how many deliveries of
    the message came before, if the queue has told. Raises UnknownVersion for a
    message of another version, and ValueError for anything else that is no message."""
    try:
        plain = _decode(body)
        if older is not None and "v" not in plain and "prompt" in plain:
            return _decode_older(plain, now, older)
        check_version("the message", plain.get("v"), VERSION, first=1)
        if plain["v"] == 4:
            return _decode_announcement(plain)
        if plain["v"] == 3:
            guard = msgspec.convert(plain, _Guard)
            return Guard(check_task_id(guard.task_id), guard.round)
        if plain["v"] == 2:
            return _decode_reference(plain, retried)
        message = msgspec.convert(plain, _Message)
        request = request_from_plain(message.request)
        check_task_id(message.task_id)
    except (msgspec.DecodeError, DomainError, RecursionError) as error:
        raise ValueError(str(error)) from error
    return Delivery(
        message.task_id,
        request,
        message.created_at,
        max_attempts=message.max_retries + 1,
        requested_model=request.model,
        request_size=len(body),
        owner=message.owner,
        origin=message.origin,
        ttl=request.ttl,
        retry_of=message.retry_of,
        not_before=message.not_before,
        deadline=message.deadline,
        guard_id=message.guard_id,
        webhooks=_webhooks(message.webhooks),
        retry_delay=_pause(message, retried),
        own_flow=request.flow_control is not None,
    )


def _pause(message: _Message | _Reference, retried: int | None) -> float | None:
    """Return the seconds until the next delivery of a message, None if that is not known."""
    if message.retry_delay is None or retried is None or retried >= message.max_retries:
        return None
    return _evaluated(message.retry_delay, retried)


@lru_cache(maxsize=128)
def _evaluated(expression: str, retried: int) -> float | None:
    try:
        return RetryDelay(expression).seconds(retried)
    except MalformedRetryDelay:
        return None


def _webhooks(targets: tuple[_Target, ...]) -> tuple[Webhook, ...]:
    return tuple(Webhook(each.url, each.service) for each in targets)


def _decode_announcement(plain: dict[str, Any]) -> Announcement:
    fields = msgspec.structs.asdict(msgspec.convert(plain, _Announcement))
    del fields["v"]
    check_task_id(fields["task_id"])
    event_id = fields["event"].get("id")
    if not (isinstance(event_id, str) and _EVENT_ID.fullmatch(event_id)):
        raise ValueError("the event of the announcement has no id")
    return Announcement(**fields)


def _decode_reference(plain: dict[str, Any], retried: int | None) -> Delivery:
    message = msgspec.convert(plain, _Reference)
    return Delivery(
        check_task_id(message.task_id),
        None,
        message.created_at,
        max_attempts=message.max_retries + 1,
        requested_model=message.model,
        request_size=message.request_size,
        request_digest=message.request_digest,
        owner=message.owner,
        origin=message.origin,
        ttl=message.ttl,
        retry_of=message.retry_of,
        not_before=message.not_before,
        deadline=message.deadline,
        guard_id=message.guard_id,
        webhooks=_webhooks(message.webhooks),
        retry_delay=_pause(message, retried),
        own_flow=message.own_flow,
    )


def _decode_older(plain: dict[str, Any], now: int, older: OlderMessages) -> Delivery:
    message = msgspec.convert(plain, _OlderMessage, strict=False)  # "10" for 10 was good enough
    request = TaskRequest(
        prompt=message.prompt,
        model=message.model or older.default_model,
        max_tokens=message.max_tokens,
        temperature=message.temperature,
    )
    request.check()  # nothing has checked it before
    return Delivery(
        check_task_id(message.task_id),
        request,
        now,
        OLDER_MAX_ATTEMPTS,
        requested_model=request.model,
        request_size=len(message.prompt),
        owner=older.owner,
    )
