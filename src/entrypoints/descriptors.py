"""How many connections a process may hold, by the file descriptors that it has.

A process without a free descriptor accepts nothing and reaches nothing, its store included; so
incoming connections get a share of them, and what the process opens by itself keeps the rest.
"""

import resource

from entrypoints.settings import Settings

OWN_FILES = 64
"""Descriptors for listeners, logs, the event loop, and calls of the queue."""
MOST_CONNECTIONS = 20_000
"""Default where descriptors would allow more."""
FEWEST_CONNECTIONS = 16


def use_all_descriptors() -> None:
    """Raise this process's limit to the highest that it may have: many systems begin with 1,024
    for programs that use select(), which this one does not."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def max_connections(settings: Settings) -> int:
    """Incoming connections that one process holds open at once: the setting's, or as many as leave
    a quarter of the descriptors, and some more, for connections of our own (to models, the store
    and the queue)."""
    if settings.max_connections is not None:
        return settings.max_connections
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    free = limit - OWN_FILES - settings.redis_connections
    own = min(settings.max_running * 2, free // 4)
    return min(MOST_CONNECTIONS, max(FEWEST_CONNECTIONS, free - own))
