"""The calls of `longtask doctor` to the address of deliveries, which are told from deliveries: they
are neither counted nor warned of."""

from litestar.datastructures import Headers

CHECK = "longtask-doctor"
"""The message id of such a call."""


def is_check(headers: Headers, status: int) -> bool:
    """Whether a response of this status is one to the doctor. A call with a signature that is
    refused is not: the log has to say what is wrong with it, and anyone can send it."""
    refused = status == 401 and "upstash-signature" in headers
    return headers.get("upstash-message-id") == CHECK and not refused
