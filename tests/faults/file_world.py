"""The embedded default: one process with tasks and queue in one file, and the model's server.

clients ── front ──┐
                   ├── the service ── to_model ── the model's server
          ┌─ back ─┘        │
          └─ its QStash ────┴── the file, on a disk of its own
"""

import contextlib
import random
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.faults.disk import Disk
from tests.faults.images import Contents, copy, examine
from tests.faults.planned import PlannedModel
from tests.faults.programs import Program
from tests.faults.world import World
from tests.redis_server import free_port
from tests.tcp_proxy import TcpProxy

NAME = "longtask.db"


class FileWorld(World):
    def __init__(self, folder: Path, rng: random.Random, model: PlannedModel) -> None:
        super().__init__(folder, rng, model)
        self.disk = Disk(folder / "disk", NAME)
        self.lost_events: set[tuple[str, str]] = set()
        """Task and id of events that were lost with the end of the file."""
        self._image = folder / "image" / NAME
        self.dead: set[str] = set()
        """Tasks that the queue could not deliver."""
        self._imaged: Contents | None = None
        self._qstash_port = free_port()

    @property
    def instance(self) -> Program:
        return self.instances[0]

    @property
    def qstash_port(self) -> int:
        return self._qstash_port

    @contextmanager
    def running(self) -> Iterator[None]:
        port = free_port()
        self._image.parent.mkdir()
        with ExitStack() as stack:
            stack.enter_context(self.disk.running())
            stack.enter_context(self.model.running())
            stack.enter_context(self.receiver.running())
            model_port = urlsplit(self.model.url).port
            assert model_port is not None
            self.to_model = stack.enter_context(TcpProxy(model_port).running())
            self.front = stack.enter_context(TcpProxy(port).running())
            self.back = stack.enter_context(TcpProxy(port).running())
            settings = {
                **self.settings,
                "LONGTASK_DATA": str(self.disk.file),
                "LONGTASK_LOCAL_QSTASH_PORT": str(self._qstash_port),
                "LONGTASK_MAX_CONCURRENT_DELIVERIES": "15",
                "BASE_URL": self.back.url,
            }
            self.instances = [Program(self._folder, "instance", port, "serve", **settings)]
            stack.callback(self.instance.kill)
            self.instance.start()
            self.all_ready()
            with contextlib.closing(sqlite3.connect(self.disk.file)) as connection:
                keys = connection.execute("SELECT token, current_key FROM keys").fetchone()
            self.token, self.signing_key = keys
            yield

    def take_image(self) -> None:
        """Copy the file as a crash would leave it now. The service must be frozen."""
        self._imaged = None
        copy(self.disk.file, self._image)

    def take_image_after_power_cut(self) -> bool:
        """The same, of a crash of the machine; return False if that cannot be done here."""
        self._imaged = None
        with self.disk.after_power_cut() as file:
            if file is not None:
                copy(file, self._image)
        return file is not None

    def examine_image(self) -> Contents:
        self._imaged = examine(self._image)
        return self._imaged

    def restore_image(self) -> bool:
        """Put the image in place of the file, if there is one, and remember what that loses. The
        service must not run."""
        if (kept := self._imaged) is None:
            return False
        now = examine(self.disk.file)
        copy(self._image, self.disk.file)
        self.lost_data = True
        self.lost_events |= now.events - kept.events
        self.ended_before_loss |= now.tasks - kept.tasks
        # Their starts had not been queued yet.
        self.given_up |= kept.unfinished - kept.queued
        return True

    def ask_given_up(self) -> set[str]:
        """None may be where the disk was never hindered: no other fault is as long as all the
        deliveries of a message."""
        self.dead = super().ask_given_up()
        return self.dead if self.disk.hindered_until > 0.0 else set()

    def heal(self) -> None:
        self.instance.exited()
        super().heal()

    def complaints(self) -> list[str]:
        dead = [f"{task_id}: QStash has given it up" for task_id in self.dead - self.given_up]
        return super().complaints() + dead + examine(self.disk.file).faults

    def excuses(self, line: str) -> bool:
        return self.disk.hindered_until > 0.0 and f"cannot use {self.disk.file}" in line
