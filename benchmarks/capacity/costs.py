"""The unit costs by which deployments are planned. docs/capacity.md says how each was measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU times are in microseconds of one core of the machine of docs/performance.md."""

    turn: float = 180.0
    """A turn of the event loop that has anything to do: polls, a pipeline, what wakes for it."""
    read: float = 38.0
    """Reading one task's model and sending its append, whatever it holds."""
    publish: float = 32.0
    """The response of one append, what Redis publishes of it, and the write to a first reader."""
    token: float = 2.7
    """Each token of an append, up to its first reader (case B, which is all of this)."""
    write: float = 12.0
    """A write to each further reader of the task, whatever it holds."""
    event: float = 0.5
    """Each event in such a write."""
    chores: float = 85.0
    """What each running task needs once a second, of all tasks in one turn: counting what it has
    used, and the shares of leases and timers. Inferred from p99 in case D."""
    start: float = 1e6 / 1_003
    """POST to 202 (case F)."""
    delivery: float = 1_700.0
    """From the queue's request to the end of an attempt, without its tokens. Inferred: a start's
    time by the ratio of their instructions (case H, Redis: 10.5 to 6.2 million)."""
    replayed: float = 2.4
    """Each event that one reader catches up with (case E)."""
    redis_append: float = 14.0
    """Redis's CPU for an append with one process that follows (redis_cost.py)."""
    redis_event: float = 1.2
    """Each further event of an append."""
    redis_follower: float = 0.7
    """Each further process that follows the task."""
    redis_trip: float = 150.0
    """Microseconds from sending a pipeline to its response, beside what Redis computes. Not CPU."""


COSTS = Costs()
PAUSE_FACTOR, LONGEST_PAUSE = 5, 0.1
"""A channel's pause after a delivery (adapters/live/hub.py)."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes, and bounds."""

    process: float = 130 * 2**20
    """Resident memory of a process that does nothing (measured by point.py)."""
    reader: float = 5.1 * 1024
    """An idle reader, if all come at once (case L). The kernel's memory for its socket is extra."""
    task: float = 145 * 1024
    """A running task with one reader, while it speaks (measured by point.py)."""
    redis_task: float = 2_750
    """A task in Redis without its events: record, lease and heartbeat (2,200, redis_cost.py), and
    the entry in its owner's index (550, docs/redis.md)."""
    redis_event: float = 31
    """An event of one token in Redis (redis_cost.py)."""
    frame: float = 163
    """An event of one token on the wire to a reader (point.py)."""
    redis_gib: float = 16
    """Memory of one Redis server. Chosen, not measured."""
    connections: int = 20_000
    """Readers of one process. Chosen: 10,000 were measured (case L)."""


FOOTPRINT = Footprint()


LARGEST_PARALLELISM, LARGEST_MESSAGES = 1_000, 10_000_000
"""Deliveries at the same time and messages a day of QStash's largest plan that has a price.
docs/capacity.md says where and when they were looked up."""
