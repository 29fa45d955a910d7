"""Cancel a task under a client that waits for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from tests.doubles.upstream import Gate
from tests.running import Running
from tests.waiting import within


@contextmanager
def cancelling(service: Running, gate: Gate) -> Iterator[None]:
    """Cancel the task that was started last, once its model waits at the gate."""

    def cancel() -> None:
        gate.reached.wait(within(60))
        tasks = service.service.container.kept_tasks()
        service.client.http.post(f"/api/tasks/{list(tasks._entries)[-1]}/cancel")
        gate.open()

    thread = Thread(target=cancel)
    thread.start()
    yield
    thread.join()
