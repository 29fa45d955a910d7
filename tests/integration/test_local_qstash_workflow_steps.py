"""What a step of a run of Upstash Workflow changes in the file, all of it or nothing."""

import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from adapters.database import Database, open_database
from entrypoints.local_qstash.account import Account, AccountSettings
from entrypoints.local_qstash.at_start import left_in
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.refusals import Unavailable
from entrypoints.local_qstash.tables import QUEUE

NOWHERE = "http://127.0.0.1:1/"
RUN = "wfr_whole"
Act = Callable[[Account], Awaitable[Any]]


@contextmanager
def _database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path / "queue.db", [QUEUE])
    try:
        yield database
    finally:
        database.close()


@asynccontextmanager
async def _account(database: Database) -> AsyncIterator[Account]:
    left = left_in(database)
    account = Account(
        AccountSettings(
            token="t", current_key="c" * 32, next_key="n" * 32, database=database, left=left
        )
    )
    account.resume()
    try:
        yield account
    finally:
        await account.aclose()


def _step(body: bytes, *, init: bool = False) -> QueuedMessage:
    of_run = {"Upstash-Workflow-RunId": RUN, "Upstash-Workflow-Init": "true" if init else "false"}
    return read_message(NOWHERE, {**of_run, "Upstash-Delay": "1h"}, body, now=time.time())


async def _publish(account: Account, message: QueuedMessage) -> None:
    assert await account.workflow_runs.publish_all([message]) == [(message.id, False)]


async def _wait(account: Account, event_id: str) -> None:
    given = {"url": NOWHERE, "timeout": "1h", "step": {"stepId": 1}}
    headers = {"Upstash-Workflow-RunId": [RUN], "Upstash-Workflow-Init": ["false"]}
    await account.workflow_events.wait(event_id, RUN, {**given, "timeoutHeaders": headers})


async def _state(account: Account, database: Database) -> list[Any]:
    """What the file holds, and what the account knows."""

    def rows(db: Connection) -> list[Any]:
        tables = ("id, size FROM messages", "* FROM bodies", "* FROM recent", "* FROM records")
        return [db.execute(f"SELECT {each} ORDER BY 1, 2").fetchall() for each in tables]

    known = (account.workflow_runs.steps(RUN), account.workflow_events.waiters("event"))
    return [*await database.read(rows), *known, account.deliveries.waiting]


ACTS: list[tuple[Act, list[str]]] = [
    (
        lambda account: _publish(account, _step(b"started", init=True)),
        ["INSERT ON messages", "INSERT ON bodies", "INSERT ON recent", "INSERT ON records"],
    ),
    (
        lambda account: _publish(account, _step(b"step")),
        ["INSERT ON messages", "INSERT ON records"],
    ),
    (lambda account: _wait(account, "event"), ["INSERT ON messages", "INSERT ON records"]),
    (
        lambda account: account.workflow_events.notify("event", b"came"),
        [
            "INSERT ON messages",
            "INSERT ON records",
            "DELETE ON records",
            "DELETE ON messages",
            "DELETE ON bodies",
        ],
    ),
    (
        lambda account: account.workflow_events.notify("early", b"came", RUN),
        ["INSERT ON records"],
    ),
    (
        lambda account: _wait(account, "early"),
        ["INSERT ON messages", "INSERT ON records", "DELETE ON records"],
    ),
    (
        lambda account: account.workflow_runs.end(RUN, cancel=True),
        ["DELETE ON records", "DELETE ON messages", "DELETE ON bodies"],
    ),
]
"""What is done with a run, and what that changes. Each change fails once, before all succeed."""


async def test_a_step_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    seen = []
    with _database(tmp_path) as database:
        for act, changes in ACTS:
            async with _account(database) as account:
                for change in changes:
                    before = await _state(account, database)
                    await _execute(database, _fail(change))
                    failed = await _error_of(act, account)
                    await _execute(database, "DROP TRIGGER fail")
                    # A notification tells of each waiter what became of it.
                    assert isinstance(failed, Unavailable) or "fails" in str(failed), change
                    assert await _state(account, database) == before, change
                await act(account)
                after = await _state(account, database)
            # As the next process finds it.
            async with _account(database) as account:
                assert await _state(account, database) == after
            seen.append([len(each or []) for each in (*after[:1], *after[3:6])])
    # Messages, records, steps and waiters. A wait is a step once its time is over.
    assert seen == [
        [1, 2, 1, 0],
        [2, 3, 2, 0],
        [3, 5, 2, 1],
        [3, 4, 3, 0],
        [3, 5, 3, 0],
        [4, 5, 4, 0],
        [0, 0, 0, 0],
    ]


async def _execute(database: Database, statement: str) -> None:
    await database.write(lambda tx: tx.execute(statement))


def _fail(change: str) -> str:
    return f"CREATE TRIGGER fail BEFORE {change} BEGIN SELECT RAISE(ABORT, 'it fails'); END"


async def _error_of(act: Act, account: Account) -> Any:
    try:
        return await act(account)
    except Unavailable as error:
        return error


async def test_an_event_that_came_early_is_there_after_a_restart(tmp_path: Path) -> None:
    with _database(tmp_path) as database:
        async with _account(database) as account:
            await _publish(account, _step(b"started", init=True))
            await account.workflow_events.notify("early", b"came", RUN)
        async with _account(database) as account:
            await _wait(account, "early")
            steps = account.workflow_runs.steps(RUN) or []
            last = base64.b64decode(steps[-1]["body"]).decode()
            assert (len(steps), base64.b64encode(b"came").decode() in last) == (2, True)
