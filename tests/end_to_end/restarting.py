"""One service after the other in the same folder and on the same port, readers that stay, and a
model that has answers of its own for each task."""

import subprocess
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from domain.events import fold
from tests.doubles.upstream import Gate, Received, Script, Upstream, piece, refusal
from tests.native_events import event_of
from tests.processes import found_in, process_of
from tests.redis_server import free_port
from tests.running import Client, Seen, follow
from tests.waiting import eventually, within


class Model(Upstream):
    """Tasks run at the same time, so each has scripts of its own, by its prompt."""

    def __init__(self) -> None:
        super().__init__()
        self.of: dict[str, deque[Script]] = {}

    def then_to(self, prompt: str, *scripts: Script) -> str:
        self.of[prompt] = deque(scripts)
        return prompt

    def asked(self, prompt: str) -> int:
        """How often it was asked this."""
        return sum(_prompt_of(each) == prompt for each in self.received)

    def script_for(self, received: Received) -> Script:
        scripts = self.of.get(_prompt_of(received))
        return scripts.popleft() if scripts else self.always


def _prompt_of(received: Received) -> str:
    return str(received.body["messages"][-1]["content"])


class Home:
    """A folder and a port for one process after the other."""

    def __init__(self, folder: Path, model: Upstream, **settings: str) -> None:
        self._folder = folder
        self._port = str(free_port())
        self._settings = {
            "LONGTASK_DATA": "",  # not set
            "LONGTASK_LOG_FORMAT": "json",
            "LONGTASK_QSTASH_RETRY_DELAY": "50",
            "LONGTASK_GRACE": "0.2",
            "OPENAI_BASE_URL": model.url,
            **settings,
        }
        self.log = folder / "serve.log"
        self.url = f"http://127.0.0.1:{self._port}"

    def says(self, words: str) -> bool:
        """Whether the log has these words."""
        return words in self.log.read_text()

    @contextmanager
    def serving(self, **settings: str) -> Iterator[subprocess.Popen[str]]:
        """A process. It is killed at the end if it still runs."""
        words = ("serve", "--port", self._port)
        with process_of(self._folder, *words, **{**self._settings, **settings}) as (process, log):
            found_in(log)
            yield process


class Reader:
    """Follows a task over as many connections as it takes, and goes on from its last event."""

    def __init__(self, url: str, task_id: str) -> None:
        self._url = url
        self.task_id = task_id
        self._thread, self.seen = follow(url, task_id)

    def until_text(self, text: str) -> None:
        eventually(lambda: self.seen.text == text)

    def whole(self) -> Seen:
        """All events, once the task has ended: as a late reader is told them, each once."""
        self._thread.join(within(30))
        assert not self._thread.is_alive()
        with Client(self._url) as client:
            late = client.events(self.task_id)
        assert [(e.id, e.data) for e in self.seen.logged] == [(e.id, e.data) for e in late.logged]
        numbers = [int(event.id.rpartition("-")[2]) for event in late.logged]
        assert numbers == list(range(1, len(numbers) + 1))
        assert fold(event_of(event.data) for event in late.logged).closed
        return late


def statuses(seen: Seen) -> list[str]:
    """The statuses of a log, each with its reason if it has one."""
    told = [event.data for event in seen.logged if event.type == "status"]
    return [" ".join(filter(None, (each["data"], each.get("reason")))) for each in told]


def lost() -> Script:
    """An answer that begins and goes no further."""
    return Script([piece("Lost"), Gate()])


def refused_for_now(seconds: int) -> Script:
    return refusal(429, **{"Retry-After": str(seconds)})
