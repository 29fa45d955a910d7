"""Upstash QStash, through its official SDK: publishing to it, and checking what it delivers."""

from adapters.qstash.deliveries import DeliveryReader, ForgedDelivery, MalformedDelivery
from adapters.qstash.queue import QStashQueue

__all__ = ["DeliveryReader", "ForgedDelivery", "MalformedDelivery", "QStashQueue"]
