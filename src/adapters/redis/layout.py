"""Until event_feed.py imports from keys.py and codec.py."""

from adapters.redis.codec import decode_batch
from adapters.redis.keys import keys_of

__all__ = ["decode_batch", "keys_of"]
