r"""The names of keys and channels in Redis, and what each holds.

All keys of a task hold its id in braces, so that they lie in one slot of a cluster and one script
may touch them all. Those of an owner's index hold a hash of the owner (`-` for the one owner of a
service without API keys).

| key | type | holds |
| --- | --- | --- |
| `longtask:{id}:record` | hash | `v` (the version of the record), `state` (JSON), \
`request` (JSON, written once) and `request_v`, `task` (both, for the version before: record.py), \
`status`, `attempt`, `indexed` (when its owner's index was last told that it is there, in ms), \
`epoch` (the last; the fencing token of an attempt that runs), `epochs` (`first-epoch ...`, by the \
numbers of their first events), `message` (the queue's id), `response` (`attempt id`, how an \
upstream calls its answer) and `cursor` (`attempt cursor length`, up to which of its events the \
log has all, at that length), `writer` (the fencing token of the attempt that may add events, 0 \
for none) |
| `longtask:{id}:log` | list | the events, each a JSON array; the index is the number less one |
| `longtask:{id}:log:adopted` | list | the first events of a log that another store hands \
over, until all are there (adoption.py) |
| `longtask:{id}:lease` | string | the fencing token of the attempt, while its lease is alive: \
Redis's clock decides |
| `longtask:{id}:heartbeat` | string | nothing, while the queue may still bring the task |
| `longtask:{id}:tombstone` | string | `deleted`, or `expired`: the task was not deleted, and \
its own time to live is over, or will be. It must not be created again |
| `longtask:{id}:events` | channel | `version before epoch first [event, ...]`: what one step \
added, with the epoch before it (`-`: none) |
| `longtask:owner:{<hash>}:entries` | hash | by task id, what the index says of it \
(index_entry.py); `:last`, the highest cursor given |
| `longtask:owner:{<hash>}:created` | sorted set | `created-at:id` of all tasks of the owner, in \
that order |
| `longtask:owner:{<hash>}:unfinished` | sorted set | those of which is not noted that they ended |
| `longtask:owner:{<hash>}:ended` | sorted set | the ids of the others, by their cursors |
| `longtask:owner:{<hash>}:expiries` | sorted set | the ids of all, by when their entries expire |
| `longtask:owner:{<hash>}:changes` | channel | the id of a task that was created, has another \
status or attempt, or was deleted |
| `longtask:idempotency-key:<sha256>` | string | `fingerprint task-id since`, for 24 hours \
or, of a request that an SDK may repeat, for 15 minutes or, of a chat, for 7 days more than tasks \
are kept; `since` in ms of Redis's clock |
| `longtask:limit:<counter>` | string or sorted set | what was counted in its window, or \
who holds its slots and until when |
| `longtask:usage:<day>:<account>` | hash | what an account used in a day (of UTC, since 1970): \
`used`, the tokens in all; `models`, how many; and by model `i|`, `c|`, `o|`, `r|`, `t|` (tokens \
of input, cached, of output, of reasoning; tasks), for 91 days. Of an address, one model \
without a name, for 3 days |
| `longtask:usage:<day>` | set | the accounts that used anything in it, but for addresses |
| `longtask:check` | string | nothing, for ten seconds: whether the server takes writes |

Record and log live for the time to live after the last change, or for that of the task after its
end. The tombstone outlives them. An index lives until its last entry expires. Each script in
scripts/ is one atomic step; transitions are decided by the domain on a record that was read, and
written only if it is still the same (commit.lua). In a Cluster the channel of a task is a sharded
one: it belongs to the slot of the keys. An owner's is not, since it is published to from the slots
of tasks.
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


@dataclass(frozen=True, slots=True)
class OwnerKeys:
    entries: str
    created: str
    unfinished: str
    ended: str
    expiries: str
    channel: str

    @property
    def index(self) -> tuple[str, ...]:
        """The keys, as the scripts that write the index take them."""
        return self.entries, self.created, self.unfinished, self.ended, self.expiries


def owner_keys(owner: str | None) -> OwnerKeys:
    """None: the one owner of a service without API keys."""
    name = "-" if owner is None else hashlib.sha256(owner.encode()).hexdigest()[:32]
    tag = f"{PREFIX}owner:{{{name}}}"
    names = ("entries", "created", "unfinished", "ended", "expiries", "changes")
    return OwnerKeys(*(f"{tag}:{name}" for name in names))


def is_of_owner(channel: str) -> bool:
    """Whether a channel tells of all tasks of an owner, and not of one task."""
    return channel.startswith(f"{PREFIX}owner:")


def idempotency_key(key: str) -> str:
    """Return a key of bounded length for a client's text of any kind."""
    return hashed_idempotency_key(hashlib.sha256(key.encode()).digest())


def hashed_idempotency_key(digest: bytes) -> str:
    """Return the key for the SHA-256 of a client's text."""
    return f"{PREFIX}idempotency-key:{digest.hex()}"


def limit_key(counter: str) -> str:
    return f"{PREFIX}limit:{counter}"


def usage_key(account: str, day: int) -> str:
    return f"{PREFIX}usage:{day}:{account}"


def usage_accounts_key(day: int) -> str:
    return f"{PREFIX}usage:{day}"
