"""How many connections a process may hold, by the file descriptors that it has.

A process without a free descriptor accepts nothing and reaches nothing, its store included; so
incoming connections get a share of them, and what the process opens by itself keeps the rest.
"""

import contextlib

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

from entrypoints.settings import Settings

OWN_FILES = 64
"""Descriptors for listeners, logs, the event loop, and calls of the queue."""
MOST_FILES = 65_536
"""Descriptors that a process asks for at most."""
MOST_CONNECTIONS = 20_000
"""Default where descriptors would allow more."""
FEWEST_CONNECTIONS = 16


def use_all_descriptors() -> None:
    """Raise this process's limit as far as it may: many systems begin with 1,024 for programs that
    use select(), which this one does not."""
    if resource is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    with contextlib.suppress(ValueError, OSError):  # a kernel may allow less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def max_connections(settings: Settings) -> int:
    """Incoming connections that one process holds open at once: the setting's, or as many as leave
    a quarter of the descriptors, and some more, for connections of our own (to models, the store
    and the queue)."""
    if settings.http.max_connections is not None:
        return settings.http.max_connections
    if resource is None:
        return MOST_CONNECTIONS
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    free = limit - OWN_FILES - settings.store.redis_connections
    own = min(settings.service.max_concurrent_deliveries * 2, free // 4)
    return min(MOST_CONNECTIONS, max(FEWEST_CONNECTIONS, free - own))
