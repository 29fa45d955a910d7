"""From readers and running tasks to processes, Redis, network and QStash's plan."""

import math
from dataclasses import dataclass

from benchmarks.capacity.costs import COSTS, FOOTPRINT, LARGEST_MESSAGES, LARGEST_PARALLELISM
from benchmarks.capacity.simulation import Load, Outcome, simulate

FULL = 0.7
"""The part of a process or of a Redis server's core that is planned for; the rest is for bursts,
failovers and restarts."""
LATE = 250.0
"""Milliseconds: the p99 that is planned for."""
DAY = 86_400
HEADROOM = 1.1
"""By which factor each try has more processes than the one before."""


class Impossible(Exception):
    """Raised when no number of processes carries a demand."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a deployment is for."""

    readers: int
    tasks: int
    """Tasks that run at the same time."""
    rate: float = 30.0
    """Tokens per second of each."""
    answer: float = 1_000
    """Tokens of an answer."""
    kept: float = DAY
    """Seconds for which a task is kept (TASK_TTL)."""
    messages: int = 1
    """Messages of QStash for each task: two with a webhook; docs/webhooks.md has what adds more."""
    idle: bool = False
    """Whether the readers follow tasks that say nothing."""

    @property
    def starts(self) -> float:
        return self.tasks * self.rate / self.answer


@dataclass(frozen=True, slots=True)
class Plan:
    processes: int
    outcome: Outcome
    """Of each process."""
    process_gib: float
    redis_servers: int
    redis_gib: float
    """Of all of them, without replicas."""
    gbit: float
    """To readers."""
    messages_per_day: float
    first: str
    """What is full first, beside processes, as a deployment grows to this demand with one Redis,
    one Gbit/s and the largest plan of QStash that has a price."""


def load_of(demand: Demand, processes: int, by_task: bool = True) -> Load:
    """Return what each process has to do. `by_task`: all readers of a task are brought to the same
    process (by a hash of the task's id), or to as few as there are processes for each task; else
    each goes to any."""
    begin = demand.starts / processes
    speaking = 0 if demand.idle else demand.readers
    per_task = speaking / demand.tasks
    if processes == 1:
        return Load(demand.tasks, demand.rate, readers=per_task, starts=begin)
    mine = speaking / processes
    if by_task:
        followed = min(max(1.0, demand.tasks / processes), mine)
    else:
        followed = demand.tasks * -math.expm1(-mine / demand.tasks)
    return Load(
        math.ceil(demand.tasks / processes),
        demand.rate,
        readers=0,
        followed=math.ceil(followed),
        followed_readers=mine / followed if followed else 0,
        starts=begin,
    )


def lightest(load: Load) -> float:
    """Return the part of a core that a load takes at least: what no batching saves."""
    tokens = (load.tasks * COSTS.token) * load.rate
    pauses = load.followed * load.followed_readers * COSTS.event * load.rate
    begins = load.starts * (COSTS.start + COSTS.delivery)
    return 1e-6 * (tokens + pauses + begins)


def fits(load: Load, full: float) -> Outcome | None:
    """Return what becomes of a load, or None if a process is too full for it or too late."""
    if lightest(load) > full:
        return None
    if 1e-6 * COSTS.read * load.tasks * load.rate > 4 or load.followed * load.rate > 100_000:
        return None  # far too much: not worth the time to simulate it
    found = simulate(load, 3.0)
    good = found.utilisation <= full and found.p99 <= LATE and not found.falls_behind
    return found if good else None


def plan(demand: Demand, by_task: bool = True, full: float = FULL) -> Plan:
    """Return the fewest processes that carry a demand, within a tenth, and what goes with them.
    `full`: the part of a process that may be used. Raises Impossible."""
    footprint = FOOTPRINT
    count = math.ceil(max(1, demand.readers / footprint.connections))
    while (outcome := fits(load := load_of(demand, count, by_task), full)) is None:
        if count > demand.tasks + demand.readers:
            raise Impossible("one task alone is more than a process carries")
        count = max(count + 1, math.ceil(count * HEADROOM))
    tokens = demand.tasks * demand.rate
    appends = tokens / outcome.tokens_per_append
    followers = load.followed * count / demand.tasks if count > 1 else 1.0
    redis = 1e-6 * (
        appends * (COSTS.redis_append + COSTS.redis_follower * max(0.0, followers - 1))
        + (tokens - appends) * COSTS.redis_event
    )
    stored = footprint.redis_task + footprint.redis_event * demand.answer
    redis_gib = (demand.tasks + demand.starts * demand.kept) * stored / 2**30
    delivered = 0.0 if demand.idle else demand.readers * demand.rate
    needs = {
        "QStash's parallelism": demand.tasks / LARGEST_PARALLELISM,
        "QStash's messages": demand.starts * DAY * demand.messages / LARGEST_MESSAGES,
        "Redis's CPU": redis / FULL,
        "Redis's memory": redis_gib / footprint.redis_gib,
        "the network": delivered * footprint.frame * 8 / 1e9,
    }
    return Plan(
        processes=count,
        outcome=outcome,
        process_gib=(
            footprint.process
            + footprint.reader * demand.readers / count
            + footprint.task * demand.tasks / count
        )
        / 2**30,
        redis_servers=max(math.ceil(redis / FULL), math.ceil(redis_gib / footprint.redis_gib)),
        redis_gib=redis_gib,
        gbit=delivered * footprint.frame * 8 / 1e9,
        messages_per_day=demand.starts * DAY * demand.messages,
        first=max(needs, key=lambda name: needs[name]),
    )
