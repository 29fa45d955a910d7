"""Whether lists and watchers kept their promises: what spans tasks.

Times are the monotonic clock's. A store that lost data on purpose may have lost tasks, ends and
deletions with it; what it still has must be in lists and told to watchers all the same.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tests.faults.clients import User
from tests.faults.lists import ENDED, Walk
from tests.faults.watchers import Connection, State, TaskWatcher
from tests.faults.world import World

LATE = 10.0
"""Seconds within which a watcher whose connection lives is told of a change: more than any part is
frozen, silent, or refused."""


def walk_faults(walk: Walk, users: Iterable[User]) -> list[str]:
    """What is wrong with a list, by what users knew before it began and after it ended."""
    found = []
    order = [(each["createdAt"], each["taskId"]) for each in walk.tasks]
    if order != sorted(order, reverse=True):
        found.append("not the newest first")
    if len(set(walk.ids)) != len(walk.ids):
        found.append("lists a task twice")
    listed = {each["taskId"]: each for each in walk.tasks}
    statuses = walk.query.get("status")
    if statuses and any(each["status"] not in statuses for each in walk.tasks):
        found.append(f"asked for {statuses}, lists {[each['status'] for each in walk.tasks]}")
    if walk.over_a_loss:
        return found
    for user in users:
        task = listed.get(user.task_id)
        known_to_end = user.ended_at < walk.began
        if task is None and _must_be_listed(walk, user, known_to_end=known_to_end):
            found.append(f"does not list {user.task_id} ({user.plan.name})")
        if task is not None and user.deleted_at < walk.began:
            found.append(f"lists {user.task_id} ({user.plan.name}), which was deleted")
        if task is not None and known_to_end and task["status"] not in ENDED:
            found.append(f"lists {user.task_id} as {task['status']}, which had ended")
    return found


def _must_be_listed(walk: Walk, user: User, *, known_to_end: bool) -> bool:
    if not (user.accepted_at < walk.began and walk.ended < user.delete_began_at):
        return False
    kind = walk.query.get("metadata[kind]")
    statuses = walk.query.get("status")
    return kind in (None, user.kind) and (statuses is None or (statuses == ENDED and known_to_end))


def last_walk_faults(walk: Walk, records: Mapping[str, dict[str, Any]]) -> list[str]:
    """What is wrong with a list of all that is there at the end, whatever was lost before."""
    kind, statuses = walk.query.get("metadata[kind]"), walk.query.get("status")
    wanted = {
        task_id
        for task_id, record in records.items()
        if kind in (None, _metadata(record).get("kind"))
        and (statuses is None or record["status"] in statuses)
    }
    missing = wanted - set(walk.ids)
    return [f"in the end, {walk.query} does not list {sorted(missing)}"] if missing else []


def _metadata(record: dict[str, Any]) -> dict[str, str]:
    return dict((record["request"] or {}).get("metadata") or {})


def untold(
    watcher: TaskWatcher, records: Mapping[str, dict[str, Any]], accepted: Collection[str]
) -> list[str]:
    """What the watcher was not told of the last state of the tasks that are there. None of its
    tasks had ended an hour before it first connected, so all are promised. `accepted`: the tasks of
    all users. Any other is of a start that was refused: where the store did not take its failure
    either, it waits until it is orphaned."""
    found = []
    for task_id, record in records.items():
        if watcher.world.lost_data and watcher.last.get(task_id, "") is None:
            continue  # it was told that the task was deleted, which the store then lost
        last = watcher.last.get(task_id)
        state = (record["status"], record["attempt"], record["finishReason"])
        if last is None or (last[0], last[1], last[3]) != state:
            found.append(f"was told {last} of {task_id}, which is {state}")
    for task_id, told in _told(watcher.connections[-1:]).items():
        gone = task_id in accepted and task_id not in records
        if gone and told is not None and told[0] not in ENDED:
            found.append(f"was told {told} of {task_id}, and not that it is gone")
    return found


def _told(connections: Sequence[Connection]) -> dict[str, State | None]:
    return {task_id: state for each in connections for task_id, state in each.told}


def watcher_faults(world: World, watcher: TaskWatcher, users: Iterable[User]) -> list[str]:
    """What is wrong with what a watcher was told, in all its connections."""
    found = list(watcher.faults)
    deleted_at = {user.task_id: user.deleted_at for user in users if user.task_id}
    last: dict[str, State | None] = {}
    for number, connection in enumerate(watcher.connections):
        where = f"connection {number}"
        if connection.cursors != sorted(connection.cursors):
            found.append(f"{where}: ids go back: {connection.cursors}")
        states: set[tuple[str, State | None]] = set()
        for task_id, state in connection.told:
            if state is not None and not world.lost_data:
                if (task_id, state) in states:
                    found.append(f"{where}: told twice: {task_id} {state}")
                states.add((task_id, state))
                if deleted_at.get(task_id, connection.asked) < connection.asked:
                    found.append(f"{where}: told {state} of {task_id}, which was deleted")
                before = last.get(task_id, state)
                if before is None or (before[0] in ENDED and before != state):
                    found.append(f"{where}: told {state} of {task_id} after {before}")
            last[task_id] = state
        if not world.lost_data:
            found += [f"{where}: {fault}" for fault in _late(connection, last, users)]
    return found


def _late(
    connection: Connection, last: Mapping[str, State | None], users: Iterable[User]
) -> Iterator[str]:
    """What had not been told long after it happened, when the connection was closed."""
    until = connection.closed - LATE
    for user in users:
        state = last.get(user.task_id, ("never told", 0, 0, None))
        if state is None:
            continue
        deleted = connection.connected < user.delete_began_at and user.deleted_at < until
        # A slow follower may see the end of a task that was deleted.
        ended = connection.asked < user.ended_at < until <= user.delete_began_at
        if deleted and user.task_id in last:
            yield f"told {state} of {user.task_id}, and not that it was deleted"
        if ended and state[0] not in ENDED:
            yield f"{state} of {user.task_id}, and not that it had ended"
