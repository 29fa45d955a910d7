"""From a publish to its messages: one, or one for each endpoint of a URL group."""

import hashlib

from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.refusals import BadMessage
from entrypoints.local_qstash.sendable import Headers
from entrypoints.local_qstash.url_groups import Endpoint, UrlGroups


def is_url(destination: str) -> bool:
    """Whether it is meant as a URL, not as the name of a URL group."""
    return destination.startswith(("http://", "https://"))


def messages_of(
    url_groups: UrlGroups,
    destination: str,
    headers: Headers,
    body: bytes,
    *,
    now: float,
    queue: str | None = None,
    caller_ip: str | None = None,
    schedule_id: str | None = None,
) -> list[QueuedMessage]:
    """Return the messages that a publish with these headers creates: one if `destination` is a URL,
    else one for each endpoint of that group. `now` is in seconds since the Unix epoch. Raises
    BadMessage."""
    group = None if is_url(destination) else destination
    if group is None:
        endpoints = [Endpoint(destination)]
    elif not (endpoints := url_groups.endpoints(group)):
        raise BadMessage(
            f"invalid destination: {group[:100]!r} is neither a URL that begins with http:// or https://"
            " nor the name of a URL group"
        )
    messages = []
    for endpoint in endpoints:
        message = read_message(
            endpoint.url, headers, body, now=now, queue=queue, caller_ip=caller_ip
        )
        message.schedule_id = schedule_id
        message.url_group, message.endpoint = group, endpoint.name
        if group is not None and message.deduplication is not None:
            # One id of a publish stands for as many messages as the group has endpoints.
            url = hashlib.sha256(endpoint.url.encode()).hexdigest()
            message.deduplication = f"{message.deduplication}:{url}"
        messages.append(message)
    return messages
