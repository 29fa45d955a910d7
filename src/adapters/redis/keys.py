r"""The names of keys and channels in Redis, and what each holds.

All keys of a task hold its id in braces, so that they lie in one slot of a cluster and one script
may touch them all.

| key | type | holds |
| --- | --- | --- |
| `longtask:{id}:record` | hash | `v` (the version of all that is written here), `state` (JSON), \
`request` (JSON, written once) and `request_v`, `task` (both, for the version before: record.py), \
`status`, `attempt`, `epoch` (the last), `epochs` (`first-epoch ...`, by the numbers of their \
first events), `message` (the queue's id), `writer` (the attempt that may add events, 0 for none) |
| `longtask:{id}:log` | list | the events, each a JSON array; the index is the number less one |
| `longtask:{id}:log:adopted` | list | the first events of a log that another store hands \
over, until all are there (adoption.py) |
| `longtask:{id}:lease` | string | the attempt, while its lease is alive: Redis's clock decides |
| `longtask:{id}:heartbeat` | string | nothing, while the queue may still bring the task |
| `longtask:{id}:tombstone` | string | nothing: the task was deleted or has a time to live of its \
own, and must not be created again |
| `longtask:{id}:events` | channel | `version before epoch first [event, ...]`: what one step \
added, with the epoch before it (`-`: none) |
| `longtask:idempotency-key:<sha256>` | string | `fingerprint task-id since`, for 24 hours \
or, of a request that an SDK may repeat, for 15 minutes or, of a chat, for 7 days more than tasks \
are kept; `since` in ms of Redis's clock |
| `longtask:limit:<counter>` | string or sorted set | what was counted in its window, or \
who holds its slots and until when |
| `longtask:check` | string | nothing, for ten seconds: whether the server takes writes |

Record and log live for the time to live after the last change, or for that of the task after its
end. The tombstone outlives them. Each script in scripts/ is one
atomic step; transitions are decided by the domain on a record that was read, and written only if
it is still the same (commit.lua). In a Cluster the channel is a sharded one: it belongs to the slot
of the keys.
"""

import hashlib
from dataclasses import dataclass

PREFIX = "longtask:"
CHECK_KEY = f"{PREFIX}check"


@dataclass(frozen=True, slots=True)
class TaskKeys:
    record: str
    log: str
    lease: str
    heartbeat: str
    tombstone: str
    channel: str


def keys_of(task_id: str) -> TaskKeys:
    tag = f"{PREFIX}{{{task_id}}}"
    names = ("record", "log", "lease", "heartbeat", "tombstone", "events")
    return TaskKeys(*(f"{tag}:{name}" for name in names))


def idempotency_key(key: str) -> str:
    """Return a key of bounded length for a client's text of any kind."""
    return hashed_idempotency_key(hashlib.sha256(key.encode()).digest())


def hashed_idempotency_key(digest: bytes) -> str:
    """Return the key for the SHA-256 of a client's text."""
    return f"{PREFIX}idempotency-key:{digest.hex()}"


def limit_key(counter: str) -> str:
    return f"{PREFIX}limit:{counter}"
