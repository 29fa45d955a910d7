"""What an official SDK says of a request that it repeats by itself.

The openai SDKs send a POST up to three times, without an idempotency key: after 408, 409, 429 and
from 500 on, when the connection breaks, and when they have waited 600 seconds. All they tell is how
often they have sent it before.
"""

from collections.abc import Mapping

from application.start_task import Try

PREFIX = "x-stainless-"
RETRY_COUNT = f"{PREFIX}retry-count"


def retry_of(headers: Mapping[str, str]) -> Try | None:
    """Return whether an SDK sends this request for the first time or again, or None if it is not an
    SDK that would say so. A count that is no number is 0."""
    lower = {name.lower(): value for name, value in headers.items()}
    if not any(name.startswith(PREFIX) for name in lower):
        return None
    count = lower.get(RETRY_COUNT, "").strip()
    again = count.isascii() and count.isdigit() and count.strip("0") != ""
    return Try.AGAIN if again else Try.FIRST
