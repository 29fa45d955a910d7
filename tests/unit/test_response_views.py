"""Views of responses: what they keep, and what they read again."""

from dataclasses import replace
from typing import cast

from application.manage_task import GetTask
from domain.events import ContentAdded, Event, StatusChanged, TaskStatus
from domain.task import Task
from entrypoints.http.openai.views import ResponseView
from entrypoints.http.sse.checkpoints import Views
from tests.unit.test_response_projection import BEGUN, TASK, Log, decoded, told, view_of


async def test_a_fold_is_made_once_and_goes_on_from_where_it_was() -> None:
    log: list[Event] = [
        StatusChanged(1, TaskStatus.PENDING, 0),
        StatusChanged(1, TaskStatus.RUNNING, 1),
        *(ContentAdded(1, "x") for _ in range(10_000)),
    ]
    store = Log(log, size=500)
    view = view_of(store)
    assert (await view.now()).text_size == 10_000
    read = store.reads
    number = decoded(told(view.projection, log, 10_002)[0])[9_000]["sequence_number"]
    await view.behind(number)
    await view.now()
    assert store.reads - read < 4_000


async def test_views_that_hold_much_text_are_dropped() -> None:
    class Tasks(Log):
        async def with_request(self, task_id: str, _: None) -> tuple[Task, None]:
            return replace(TASK, id=task_id), None

        async def record(self, *_: object) -> None:
            return None

    tasks = Tasks([*BEGUN, *(ContentAdded(1, "x" * 1_000_000) for _ in range(6))], size=1)
    views = Views(cast(GetTask, tasks), ResponseView)
    for number in range(4):
        await (await views.of(f"t{number}", None)).now()
    kept = await views.of("t3", None)
    assert await views.of("t3", None) is kept
    read = tasks.reads
    await (await views.of("t0", None)).now()
    assert tasks.reads > read, "the oldest was kept"
    views.forget("t3")
    assert await views.of("t3", None) is not kept
