"""The hub: live delivery inside one process, for every store."""

from adapters.live.hub import Broker, Hub

__all__ = ["Broker", "Hub"]
