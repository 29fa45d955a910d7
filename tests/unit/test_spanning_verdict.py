"""The rules of the random faults for lists and watchers find what they are there for."""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.faults.clients import Follower, User
from tests.faults.lists import ENDED, Walk
from tests.faults.planned import PlannedModel
from tests.faults.spanning_verdict import last_walk_faults, untold, walk_faults, watcher_faults
from tests.faults.watchers import Connection, State, TaskWatcher
from tests.faults.world import World

RUNNING: State = ("running", 1, 10, None)
DONE: State = ("completed", 1, 20, "stop")
RECORD = {"status": "completed", "attempt": 1, "finishReason": "stop", "request": {}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, random.Random(1), PlannedModel())


def user_of(world: World, task_id: str, accepted: float = 1.0, **times: float) -> User:
    user = User(world, task_id, (Follower,))
    user.task_id, user.kind, user.accepted_at = task_id, "plain", accepted
    for name, value in times.items():
        setattr(user, name, value)
    return user


@pytest.mark.parametrize(
    ("tasks", "query", "said"),
    [
        ([2, 1], {}, None),
        ([5, 4, 2, 1], {}, None),
        ([], {"metadata[kind]": "mixed"}, None),
        ([], {"metadata[kind]": "plain"}, "does not list t1 (t1)"),
        ([1, 2], {}, "not the newest first"),
        ([2, 1, 1], {}, "lists a task twice"),
        ([2], {}, "does not list t1 (t1)"),
        ([3, 2, 1], {}, "lists t3 (t3), which was deleted"),
        ([2, 1], {"status": ENDED}, "asked for"),
        ([6, 2, 1], {}, "lists t6 as running, which had ended"),
    ],
)
def test_a_list_is_judged(
    world: World, tasks: list[int], query: dict[str, Any], said: str | None
) -> None:
    ended = user_of(world, "t6", delete_began_at=9.5)
    ended.followers = [Follower(world, "t6", world.rng, ended_at=8.0)]
    users = [
        user_of(world, "t1"),
        user_of(world, "t2", accepted=8.9),
        user_of(world, "t3", delete_began_at=2.0, deleted_at=3.0),
        user_of(world, "t4", delete_began_at=2.0, deleted_at=9.5),
        user_of(world, "t5", accepted=9.5),
        ended,
    ]
    listed = [{"taskId": f"t{n}", "createdAt": n, "status": "running"} for n in tasks]
    found = walk_faults(Walk(9.0, query, listed, 10.0), users)
    assert found[0].startswith(said) if said else not found


def test_the_last_list_has_all_that_is_there() -> None:
    walk = Walk(9.0, {"status": ENDED}, [{"taskId": "t1"}], 10.0)
    assert last_walk_faults(walk, {"t1": RECORD}) == []
    assert last_walk_faults(walk, {"t2": RECORD})
    assert last_walk_faults(walk, {"t2": {**RECORD, "status": "running"}}) == []


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([("t", RUNNING), ("t", DONE)], []),
        ([("t", DONE)], []),
        ([("t", RUNNING)], ["was told"]),
        ([], ["was told None of t"]),
        ([("t", ("completed", 2, 20, "stop"))], ["was told"]),
        ([("t", DONE), ("u", RUNNING)], ["was told ('running', 1, 10, None) of u"]),
        ([("t", DONE), ("u", RUNNING), ("u", None)], []),
        ([("t", DONE), ("refused", RUNNING)], []),
    ],
)
def test_a_watcher_is_told_how_all_ended(
    world: World, told: list[tuple[str, State | None]], said: list[str]
) -> None:
    watcher = TaskWatcher(world, "watcher")
    watcher.connections = [Connection(1.0, told)]
    watcher.last = dict(told)
    found = untold(watcher, {"t": RECORD}, {"t", "u"})
    assert len(found) == len(said)
    assert all(each.startswith(begin) for each, begin in zip(found, said, strict=True))


@pytest.mark.parametrize(
    ("connections", "said"),
    [
        ([Connection(1.0, [("t", RUNNING), ("t", DONE)]), Connection(2.0, [("t", DONE)])], []),
        ([Connection(1.0, [("t", DONE), ("t", RUNNING)])], ["told", "after"]),
        ([Connection(1.0, [("t", None)]), Connection(2.0, [("t", DONE)])], ["told", "after None"]),
        ([Connection(1.0, [("t", RUNNING), ("t", RUNNING)])], ["told twice"]),
        ([Connection(4.0, [("gone", DONE)])], ["which was deleted"]),
        ([Connection(1.0, cursors=[2, 1])], ["ids go back"]),
        ([Connection(1.0, [("t", RUNNING)], closed=17.0)], []),
        ([Connection(1.0, [("t", RUNNING)], closed=18.0)], ["not that it had ended"]),
        ([Connection(1.0, closed=18.0)], ["never told", "not that it had ended"]),
        ([Connection(1.0, [("t", DONE), ("gone", DONE)], [], 18.0, 1.5)], ["it was deleted"]),
        ([Connection(1.0, [("t", DONE), ("gone", None)], [], 18.0, 1.5)], []),
        ([Connection(1.0, [("t", DONE), ("gone", DONE)], [], 18.0, 5.0)], []),
        # The second one broke before it was told that it is connected.
        ([Connection(1.0, [("gone", DONE)], [], 1.9, 1.5), Connection(17.9, [], [], 18.0)], []),
    ],
)
def test_what_a_watcher_is_told_is_judged(
    world: World, connections: list[Connection], said: list[str]
) -> None:
    watcher = TaskWatcher(world, "watcher")
    watcher.connections = connections
    users = [user_of(world, "t"), user_of(world, "gone", delete_began_at=2.0, deleted_at=3.0)]
    users[0].followers = [Follower(world, "t", world.rng, ended_at=7.5)]
    found = watcher_faults(world, watcher, users)
    assert bool(found) == bool(said)
    assert all(part in found[0] for part in said)
