"""Publishing one message to the deliveries of a local QStash."""

from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.refusals import Refused


async def publish_one(deliveries: Deliveries, message: QueuedMessage) -> tuple[str, bool]:
    """Return its id and False once it is kept, or the id of an earlier message and True if it is a
    duplicate. Raises Refused."""
    (result,) = await deliveries.publish_all([message])
    if isinstance(result, Refused):
        raise result
    return result
