"""Calls to this machine's own loopback addresses never go through an HTTP proxy.

`HTTP_PROXY` without `NO_PROXY` would send them to another machine's loopback: those to the queue
inside the service, those of that queue to the service, and those of `longtask ask`. Every HTTP
client in this process, and in the processes that it starts, reads these variables.
"""

import os

NAMES = ("localhost", "127.0.0.1", "::1")


def exempt_loopback() -> None:
    """Add the names of loopback to what the environment exempts from proxies."""
    # Where both spellings are set, clients read the one in lower case.
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    exempt = [each.strip() for each in given.split(",") if each.strip()]
    if "*" in exempt:
        return
    missing = [name for name in NAMES if name not in exempt]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join([*exempt, *missing])
