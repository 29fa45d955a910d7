"""Attempts that go on, whose process is killed before each of their steps: nothing is said twice,
lost or taken back, and where the upstream keeps the answer, nothing is asked for twice."""

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.continuing import Kept, Prefill, log_faults
from tests.end_to_end.killed_attempts import (
    LEASE,
    LIVES,
    NEVER,
    OF_START,
    ORPHAN_TIMEOUT,
    RETRIES,
    begin,
    begun,
    over,
    settled,
)
from tests.end_to_end.killing import IDLE, Counting, proxy_of
from tests.end_to_end.restarting import Home
from tests.mortal_program import COMMITS_LEFT
from tests.running import Client
from tests.waiting import eventually, within

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("step", ["commit", "call"])
@pytest.mark.parametrize(("kind", "end"), LIVES)
def test_nothing_is_lost_before_whichever_commit_or_call_of_the_model_the_process_is_killed(
    tmp_path: Path, kind: type[Kept | Prefill], end: str, step: str
) -> None:
    """Each process settles what the one before has left, and is killed one step later."""
    model = kind(endless=end == "cancelled")
    commits_left = tmp_path / "commits left"
    with model.model.running(), proxy_of(model.model.url).running() as to_model:
        home = Home(
            tmp_path,
            model.model,
            OPENAI_BASE_URL=f"{to_model.url}/v1",
            LONGTASK_LEASE=str(LEASE),
            LONGTASK_ORPHAN_TIMEOUT=str(ORPHAN_TIMEOUT),
            LONGTASK_QSTASH_RETRIES=str(RETRIES),
            **model.settings,
            **{COMMITS_LEFT: str(commits_left)},
            PYTHONPATH=os.pathsep.join(filter(None, sys.path)),
        )

        def idle() -> bool:
            return time.time() - commits_left.stat().st_mtime > within(IDLE)

        def done(client: Client, process: "subprocess.Popen[str]") -> bool:
            return process.poll() is not None or (over(client, model) and idle())

        steps, fatal = 1, 0  # the first process is not killed
        while fatal <= steps:
            to_model.before = lambda _: None
            with (
                home.serving(program="tests.mortal_program") as process,
                Client(home.url) as client,
            ):
                eventually(partial(settled, client, model), 30)
                counting = Counting(process, fatal if fatal and step == "call" else NEVER)
                commits = fatal if fatal and step == "commit" else NEVER
                new = tmp_path / "new"  # the process may read at any moment
                new.write_text(str(commits))
                new.replace(commits_left)
                to_model.before = counting
                begin(client, model)
                eventually(partial(done, client, process), 30)
                if not fatal:
                    used = commits - int(commits_left.read_text())
                    steps = used if step == "commit" else counting.counted
                commits_left.unlink()
            fatal += 1 if fatal or step == "call" else OF_START + 1
        to_model.before = lambda _: None
        with home.serving(), Client(home.url) as client:
            eventually(partial(settled, client, model), 30)
            ended = begun(client)
            faults = log_faults(client, ended, end) + model.faults()
    assert not faults
    assert steps >= (12 if step == "commit" else 2), "the life of a task has more steps"
    assert len(ended) >= steps - OF_START
