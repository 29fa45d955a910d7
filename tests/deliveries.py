"""Publishing messages to the deliveries of a local QStash."""

from collections.abc import Mapping

from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.refusals import Refused


def named(headers: Mapping[str, str]) -> dict[str, str]:
    """Return `Upstash-Retry-Delay` for `Retry_Delay`."""
    return {f"Upstash-{name.replace('_', '-')}": value for name, value in headers.items()}


async def publish_one(deliveries: Deliveries, message: QueuedMessage) -> tuple[str, bool]:
    """Return its id and False once it is kept, or the id of an earlier message and True if it is a
    duplicate. Raises Refused."""
    (result,) = await deliveries.publish_all([message])
    if isinstance(result, Refused):
        raise result
    return result
