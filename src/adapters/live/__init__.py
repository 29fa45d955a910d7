"""Live delivery inside one process, on which the event feeds of the stores are built."""

from adapters.live.hub import Broker, Hub

__all__ = ["Broker", "Hub"]
