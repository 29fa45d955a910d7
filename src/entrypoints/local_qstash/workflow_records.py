"""Runs of Upstash Workflow as they are kept: a record of each run, and one of each of its steps and
of each event that came before the run waits for it. So a step costs what it adds, however many
there are."""

from collections.abc import Mapping
from typing import Any

from entrypoints.local_qstash.bounds import RUN_BYTES, RUNS, STEP_BYTES
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.records import Changes, Records
from entrypoints.local_qstash.workflow_headers import run_id_of

RUN_KIND, WAITER_KIND = "workflow runs", "workflow waiters"
Run = dict[str, Any]
"""`created_at`; `url`; `settings`, the head of its first message."""
Step = dict[str, Any]
"""`body` (base64); `at`: when it is a step, in milliseconds since the Unix epoch. Its name is the
id of its message."""


class RunRecords:
    def __init__(self, records: Records) -> None:
        self._records = records
        self._sizes: dict[str, int] = {}
        """The bytes of each run, the oldest first."""
        self._total = 0
        for run_id, run in self.all().items():
            steps = sum(_step_size(run_id, each) for each in self.steps(run_id).values())
            events = sum(_event_size(run_id, *each) for each in self.events(run_id).items())
            self._count(run_id, _run_size(run_id, run) + steps + events)

    def all(self) -> Mapping[str, Run]:
        return self._records.of(RUN_KIND)

    def get(self, run_id: str) -> Run | None:
        return self.all().get(run_id)

    def size(self, run_id: str) -> int:
        """Return the bytes of a run, with its steps and events."""
        return self._sizes.get(run_id, 0)

    def first_body(self, message: QueuedMessage) -> str | None:
        """Return the body (base64) that started the run of which the message is a step, or None."""
        steps = self.steps(run_id_of(message) or "").values()
        return next((each["body"] for each in steps), None)

    def steps(self, run_id: str) -> Mapping[str, Step]:
        return self._records.of(_steps_of(run_id))

    def events(self, run_id: str) -> Mapping[str, dict[str, str]]:
        """Return those that have come before the run waits for them: `out`, in base64."""
        return self._records.of(_events_of(run_id))

    def waiters(self) -> Mapping[str, dict[str, Any]]:
        """Return who waits for events, by the id of the message that ends the wait."""
        return self._records.of(WAITER_KIND)

    def make_room(self, changes: "RunChanges") -> bool:
        """Let the changes forget the oldest other runs, until there is room for what they add.
        Returns whether there can be."""
        size = self._sizes.get(changes.run_id, 0) + changes.grows
        runs = len(self._sizes) + (changes.run_id not in self._sizes)
        total = self._total + changes.grows
        if size > RUN_BYTES:
            return False
        for oldest, bytes_of_it in self._sizes.items():
            if runs <= RUNS and total <= RUN_BYTES:
                break
            if oldest != changes.run_id:
                changes.forget(oldest)
                runs, total = runs - 1, total - bytes_of_it
        return True

    def changes(self, run_id: str) -> "RunChanges":
        return RunChanges(self._records, self, run_id)

    def count(self, changes: "RunChanges") -> None:
        """Called once the changes are kept."""
        if changes.run_id not in changes.forgotten:
            self._count(changes.run_id, changes.grows)
        for each in changes.forgotten:
            self._total -= self._sizes.pop(each, 0)

    def _count(self, run_id: str, more: int) -> None:
        self._sizes[run_id] = self._sizes.get(run_id, 0) + more
        self._total += more


class RunChanges(Changes):
    """What changes of a run in one step."""

    def __init__(self, records: Records, runs: RunRecords, run_id: str) -> None:
        super().__init__(records)
        self._runs = runs
        self.run_id = run_id
        self.grows = 0
        """Bytes."""
        self.forgotten: set[str] = set()
        """The ids of runs."""

    def apply(self) -> None:
        super().apply()
        self._runs.count(self)

    def begin(self, run: Run) -> None:
        self.put(RUN_KIND, self.run_id, run)
        self.grows += _run_size(self.run_id, run)

    def add_step(self, message_id: str, step: Step) -> None:
        self.put(_steps_of(self.run_id), message_id, step)
        self.grows += _step_size(self.run_id, step)

    def drop_step(self, message_id: str) -> None:
        step = self._runs.steps(self.run_id).get(message_id)
        if step is not None:
            self.drop(_steps_of(self.run_id), message_id)
            self.grows -= _step_size(self.run_id, step)

    def add_event(self, event_id: str, out: str) -> None:
        self.drop_event(event_id)
        event = {"out": out}
        self.put(_events_of(self.run_id), event_id, event)
        self.grows += _event_size(self.run_id, event_id, event)

    def drop_event(self, event_id: str) -> None:
        earlier = self._runs.events(self.run_id).get(event_id)
        if earlier is not None:
            self.drop(_events_of(self.run_id), event_id)
            self.grows -= _event_size(self.run_id, event_id, earlier)

    def forget(self, run_id: str) -> None:
        """Keep nothing of a run any longer."""
        self.forgotten.add(run_id)
        self.drop(RUN_KIND, run_id)
        self.drop(_steps_of(run_id))
        self.drop(_events_of(run_id))
        for message_id, waiter in self._runs.waiters().items():
            if waiter["run"] == run_id:
                self.drop(WAITER_KIND, message_id)


def _steps_of(run_id: str) -> str:
    return f"workflow steps of {run_id}"


def _events_of(run_id: str) -> str:
    return f"workflow events of {run_id}"


def _run_size(run_id: str, run: Run) -> int:
    return STEP_BYTES + len(run_id) + len(run["url"]) + len(run["settings"])


def _step_size(run_id: str, step: Step) -> int:
    return STEP_BYTES + len(run_id) + len(step["body"])


def _event_size(run_id: str, event_id: str, event: Mapping[str, str]) -> int:
    return STEP_BYTES + len(run_id) + len(event_id) + len(event["out"])
