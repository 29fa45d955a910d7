"""Tasks in the data file, however they end, while their process is killed: each end is told of at
least once and with one id, and what was deleted stays so."""

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.webhooks import new_secret
from tests.doubles.destination import Destination
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece, refusal
from tests.end_to_end.restarting import Home
from tests.mortal_program import COMMITS_LEFT
from tests.running import Client
from tests.waiting import eventually, within

IDLE = 0.4
"""Seconds without a commit after which a process has done all that it has to do."""
ENDLESS = Script([piece("one"), Gate()])
SCRIPTS = {
    "completed": Script([piece("one"), finish() + DONE]),
    "failed": refusal(401),
    "cancelled": ENDLESS,
    "overdue": ENDLESS,
    "deleted": ENDLESS,
}
"""What the model says to tasks that end so."""


@dataclass
class Life:
    """Tasks that end in one way, one after the other, and the commits of the process meanwhile."""

    end: str
    receiver: Destination
    commits_left: Path
    accepted: list[str] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    """Those whose deletion was accepted."""

    def begin(self, client: Client, commits: int) -> None:
        """Start a task, and have it end. The process is killed before the commit behind so
        many."""
        self.commits_left.write_text(str(commits))
        limited = {"deadline": 1} if self.end == "overdue" else {}
        asked = {"prompt": "Hi.", "webhook": {"url": self.receiver.url}, **limited}
        with contextlib.suppress(httpx.HTTPError):
            started = client.http.post("/api/tasks/start", json=asked)
            if started.status_code == 202:
                self.accepted.append(started.json()["taskId"])
                self._end(client, self.accepted[-1])

    def _end(self, client: Client, task_id: str) -> None:
        if self.end == "cancelled":
            client.http.post(f"/api/tasks/{task_id}/cancel")
        if self.end == "deleted" and client.http.delete(f"/api/tasks/{task_id}").status_code == 204:
            self.deleted.add(task_id)

    def is_over(self, process: "subprocess.Popen[str]", before: int) -> bool:
        """Whether the process is dead, or has done all and does nothing else."""
        if process.poll() is not None:
            return True
        done = len(self.receiver.told()) > before or self.end == "deleted"
        return done and time.time() - self.commits_left.stat().st_mtime > within(IDLE)

    def is_told(self) -> bool:
        """Whether each end that needs nothing more of a client was told of."""
        return all(f"evt_{task_id}" in self.receiver.told() for task_id in self.accepted)

    def is_settled(self, client: Client) -> bool:
        """The same of all tasks, and the records say so. Ends those whose end was not accepted."""
        seen = records(client)
        assert not self.deleted & seen.keys(), "what was deleted is back"
        for task_id, record in seen.items():
            if record["status"] in ("pending", "running") or self.end == "deleted":
                self._end(client, task_id)
        if self.end == "deleted":
            return not seen
        return all(
            each["webhook"]["status"] == "delivered" and f"evt_{task_id}" in self.receiver.told()
            for task_id, each in seen.items()
        )


def records(client: Client) -> dict[str, dict[str, Any]]:
    listed = client.http.get("/api/tasks?limit=100").json()["tasks"]
    asked = (client.http.get(f"/api/tasks/{each['taskId']}") for each in listed)
    return {each.json()["taskId"]: each.json() for each in asked if each.status_code == 200}


@pytest.mark.soak
@pytest.mark.parametrize("end", SCRIPTS)
def test_each_end_is_told_before_whichever_commit_the_process_is_killed(
    upstream: Upstream, tmp_path: Path, end: str
) -> None:
    """Each process settles what the one before has left, and is killed one commit later."""
    upstream.always = SCRIPTS[end]
    commits_left = tmp_path / "commits left"
    home = Home(
        tmp_path,
        upstream,
        LONGTASK_LEASE="1",
        LONGTASK_ORPHAN_TIMEOUT="4",
        LONGTASK_WEBHOOK_SECRETS=new_secret(),
        LONGTASK_WEBHOOK_ALLOW_PRIVATE="true",
        **{COMMITS_LEFT: str(commits_left), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with Destination().running() as receiver:
        life = Life(end, receiver, commits_left)
        endless = 10**6
        commits, fatal = 1, -1  # the first process is not killed
        while fatal <= commits:
            with (
                home.serving(program="tests.mortal_program") as process,
                Client(home.url) as client,
            ):
                if end not in ("cancelled", "deleted"):  # what was accepted goes on unread
                    eventually(life.is_told, 30)
                eventually(partial(life.is_settled, client), 30)
                before = len(receiver.told())
                life.begin(client, endless if fatal < 0 else fatal)
                eventually(partial(life.is_over, process, before), 30)
                if fatal < 0:
                    commits = endless - int(commits_left.read_text())
                commits_left.unlink()
            fatal += 1
        with home.serving(), Client(home.url) as client:
            eventually(partial(life.is_settled, client), 30)
            ended = records(client)
    assert commits >= 10, "the life of a task takes more commits"
    assert len(life.accepted) >= commits - 6, "a start that died early was not accepted"
    assert all(len(bodies) == 1 for bodies in receiver.told().values())
    if end == "deleted":
        assert not ended
        return
    assert receiver.told().keys() == {f"evt_{task_id}" for task_id in ended}
    assert set(life.accepted) <= ended.keys()
    status = "failed" if end == "overdue" else end
    assert {ended[task_id]["status"] for task_id in life.accepted} == {status}
