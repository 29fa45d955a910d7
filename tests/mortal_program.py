"""The program `longtask` in a process that kills itself before a commit of its data file: before
that which the file of COMMITS_LEFT counts down to. Without that file, it lives."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.database import Database
from entrypoints.program import main

COMMITS_LEFT = "COMMITS_LEFT"
"""The variable of the environment that names the file."""
_commit = Database._commit


def _commit_or_die(database: Database, group: Sequence[Any]) -> bool:
    left = Path(os.environ[COMMITS_LEFT])
    if left.exists():
        count = int(left.read_text()) - 1
        new = left.with_name("next")
        new.write_text(str(count))
        new.replace(left)
        if count < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return _commit(database, group)


if __name__ == "__main__":
    setattr(Database, "_commit", _commit_or_die)  # noqa: B010  (mypy lets no method be replaced)
    main()
