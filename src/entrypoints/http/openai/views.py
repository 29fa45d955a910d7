"""Views of responses: the state of a response at any place in its stream, on any instance.

The state follows from the log alone, by a fold from its first event. So that not every reader that
resumes costs a whole fold, a view keeps states on the way (checkpoints): it folds a log once per
process, and goes on from there. Views of tasks that were asked for lately are kept.
"""

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing

from application.manage_task import GetTask
from application.ports import Batch
from domain.events import begins_anew
from domain.request import TaskRequest
from domain.task import Task
from entrypoints.http.openai.ids import response_id
from entrypoints.http.openai.output_items import OutputItems
from entrypoints.http.openai.response_echo import echo_of
from entrypoints.http.openai.response_frames import is_number_of, place_of
from entrypoints.http.openai.response_object import ResponseObject
from entrypoints.http.openai.response_projection import ResponseProjection
from entrypoints.http.openai.response_state import ResponseState

CHECKPOINT_EVERY = 1_000
"""Events of a stream between two checkpoints, at least."""
VIEWS = 64
"""Views that are kept. Each may hold the text of an answer."""
TEXTS = 16 * 1024 * 1024
"""Characters of answers that all of them may hold, but for the newest."""


class ResponseView:
    """One task as a response."""

    def __init__(self, task: Task, request: TaskRequest, get_task: GetTask) -> None:
        opening = {
            "id": response_id(task.id),
            "object": "response",
            "created_at": task.created_at // 1000,
            **echo_of(request),
        }
        items = OutputItems(task.id, summary=bool(request.echo.get("summary")))
        self.response = ResponseObject(opening, items)
        self.projection = ResponseProjection(self.response, items, ("response", task.id))
        self.append_only = ResponseProjection(
            self.response, items, ("append-only", task.id), append_only=True
        )
        """For clients that cannot take back a text."""
        self.task_id = task.id
        self._get_task = get_task
        self._checkpoints = [self.projection.begin()]
        self._lock = asyncio.Lock()

    @property
    def characters(self) -> int:
        """How many of the answer it holds."""
        return self._checkpoints[-1].text_size + self._checkpoints[-1].reasoning_size

    async def now(self) -> ResponseState:
        """Return the state at the end of the log as it is now. Raises UnknownTask, Unreadable or
        StoreUnavailable."""
        async with self._lock:
            fold = self._checkpoints[-1]
            async with aclosing(self._batches(fold)) as batches:
                async for batch in batches:
                    fold = self._next(fold, batch)
            if fold.end is not None:
                self._keep(fold, always=True)
            return fold

    async def behind(self, number: int) -> tuple[bytes, ResponseState]:
        """Return the state behind the event of a number, and the frames that are still to be told
        up to there. If the log has no such event: the state before the first one. Raises as `now`
        does."""
        place = place_of(number)
        async with self._lock:
            known = bisect_right(self._checkpoints, place, key=lambda fold: fold.count)
            fold = self._checkpoints[max(0, known - 1)]
            async with aclosing(self._batches(fold)) as batches:
                async for batch in batches:
                    after = self._next(fold, batch)
                    if after.count > place:
                        return self._within(fold, batch, number)
                    fold = after
        return b"", self.projection.begin()

    async def last_attempt(self) -> tuple[bytes, ResponseState]:
        """Return the state at the beginning of the last attempt that has begun, and the frames that
        a stream must begin with: what was lost before is left out. Raises as `now` does."""
        fold, created = self.append_only.begin(), b""
        begun = b"", fold
        async with aclosing(self._batches(fold)) as batches:
            async for batch in batches:
                for single in batch.singles():
                    anew = begins_anew(single.events[0])
                    frames: list[bytes] | None = [] if anew or not created else None
                    before, fold = fold, self.projection.fold(fold, single, frames)
                    if frames is not None:
                        created = created or frames[0]
                        if anew and before.next_index:
                            begun = created + frames[-1], fold
        return begun

    def _within(
        self, fold: ResponseState, batch: Batch, number: int
    ) -> tuple[bytes, ResponseState]:
        """Return what `behind` does, for an event that this batch tells."""
        place, epoch = place_of(number), batch.end.epoch
        if is_number_of(number, epoch):
            for single in batch.singles():
                frames: list[bytes] = []
                after = self.projection.fold(fold, single, frames)
                if after.count > place:
                    return b"".join(frames[place - fold.count + 1 :]), after
                fold = after
        return b"", self.projection.begin()

    def _next(self, fold: ResponseState, batch: Batch) -> ResponseState:
        if batch.after != fold.position:  # the log lost its end
            fold = self.projection.begin()
            self._checkpoints = [fold]
        after = self.projection.fold(fold, batch)
        self._keep(after)
        return after

    def _keep(self, fold: ResponseState, *, always: bool = False) -> None:
        added = fold.count - self._checkpoints[-1].count
        if added >= CHECKPOINT_EVERY or (always and added > 0):
            self._checkpoints.append(fold)

    def _batches(self, fold: ResponseState) -> AsyncGenerator[Batch, None]:
        return self._get_task.log(self.task_id, fold.position)


class ResponseViews:
    def __init__(self, get_task: GetTask) -> None:
        self._get_task = get_task
        self._views: OrderedDict[str, ResponseView] = OrderedDict()

    async def of(self, task_id: str, owner: str | None) -> ResponseView:
        """Return the view of a task. Raises UnknownTask, Unreadable or StoreUnavailable."""
        if (view := self._views.get(task_id)) is not None:
            await self._get_task.record(task_id, owner)
            return self._keep(view)
        task, request = await self._get_task.with_request(task_id, owner)
        return self.of_started(task, request or TaskRequest(model=task.requested_model))

    def of_started(self, task: Task, request: TaskRequest) -> ResponseView:
        """Return the view of a task of the caller, whose request is known."""
        known = self._views.get(task.id)
        return self._keep(known or ResponseView(task, request, self._get_task))

    def forget(self, task_id: str) -> None:
        """Drop the view of a task that is deleted."""
        self._views.pop(task_id, None)

    def _keep(self, view: ResponseView) -> ResponseView:
        self._views[view.task_id] = view
        self._views.move_to_end(view.task_id)
        held = sum(view.characters for view in self._views.values())
        while len(self._views) > 1 and (len(self._views) > VIEWS or held > TEXTS):
            _, oldest = self._views.popitem(last=False)
            held -= oldest.characters
        return view
