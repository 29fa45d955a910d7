"""The hub: live delivery inside one process, for every store."""

from adapters.live.hub import Broker, Hub, OwnerTopic, Topic

__all__ = ["Broker", "Hub", "OwnerTopic", "Topic"]
