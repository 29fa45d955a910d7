"""What this adapter raises beside the application's errors, and how it tells of a server's."""

from application.errors import StoreUnavailable


class UnknownScript(Exception):
    """Raised when a script was called by its hash and the server does not know it."""


_MEANINGS = {
    "NOAUTH": "Redis wants a password",
    "WRONGPASS": "Redis refuses the user name or password",
    "Unauthorized": "Redis's REST API refuses the token",
    "NOPERM": "Redis does not permit this user what the service needs",
    "READONLY": "Redis is a read-only replica",
    "OOM": "Redis has reached its maxmemory",
    "LOADING": "Redis is still loading its data",
    "MISCONF": "Redis cannot write to its disk",
    "CLUSTERDOWN": "The Redis cluster is down",
}
_TOO_LARGE = "max request size exceeded"
"""What Upstash's Redis says, behind the code ERR."""


def error_response(text: str) -> StoreUnavailable:
    """Return the error that tells of a server's error response, which begins with its code."""
    if _TOO_LARGE in text:
        return StoreUnavailable("Redis refuses a command as long as this request", text[:200])
    meaning = _MEANINGS.get(text.partition(" ")[0], "Redis responded with an error")
    return StoreUnavailable(meaning, text[:200])  # Redis gives advice at length
