"""How many connections a process may hold open, given its limit of file descriptors.

A process without a free descriptor can neither accept a connection nor open one, not even to its
store. So incoming connections get a share of the descriptors, and the rest is reserved for the
connections that the process opens itself.
"""

import contextlib

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

from entrypoints.settings import Settings

OWN_FILES = 64
"""Descriptors for listeners, logs, the event loop and calls to the queue."""
MOST_FILES = 65_536
"""The most descriptors that a process asks for."""
MOST_CONNECTIONS = 20_000
"""The default where the descriptors would allow more."""
FEWEST_CONNECTIONS = 16


def use_all_descriptors() -> None:
    """Raise this process's limit of descriptors as far as the system allows. Many systems start at
    1,024 for the sake of programs that use select(), which this one does not."""
    if resource is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    with contextlib.suppress(ValueError, OSError):  # a kernel may allow less than it reports
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def max_connections(settings: Settings) -> int:
    """Return how many incoming connections one process holds open at once: the setting, or as many
    as leave a quarter of the descriptors (or two for each concurrent delivery, if that is less) for
    connections to models, the store and the queue."""
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


def deliveries_at_once(settings: Settings) -> int:
    """Return how many deliveries a queue inside the service has under way at once: as many as all
    of its processes accept, and never so many that clients find no connection."""
    share = max(1, max_connections(settings) // 3)
    return settings.service.workers * min(settings.service.max_concurrent_deliveries, share)
