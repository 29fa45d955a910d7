"""Checkpoints: the state of a projected stream at any of its frames, on any instance.

The state follows from the log alone, by a fold from its first event. So that not every reader that
resumes costs a whole fold, states on the way are kept: a process folds a log once, and goes on from
there. What is kept of tasks that were asked for lately stays in memory.
"""

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Generic, Protocol, TypeVar

from application.manage_task import GetTask
from application.ports import Batch
from domain.request import TaskRequest
from domain.task import Task
from entrypoints.http.sse.projected import Projection, State

CHECKPOINT_EVERY = 1_000
"""Frames of a stream between two checkpoints, at least."""
VIEWS = 64
"""Views that are kept."""
TEXTS = 16 * 1024 * 1024
"""Characters that all of them may hold, but for the newest."""


class Counted(State, Protocol):
    @property
    def count(self) -> int:
        """The number of frames before it."""
        ...


S = TypeVar("S", bound=Counted)


class Foldable(Projection[S], Protocol[S]):
    def fold(self, before: S, batch: Batch, frames: list[bytes] | None = None) -> S:
        """Do the same as any projection. Without `frames` none are encoded."""
        ...


class Checkpoints(Generic[S]):
    """The states of one task's stream."""

    def __init__(self, task_id: str, projection: Foldable[S], get_task: GetTask) -> None:
        self._task_id = task_id
        self._projection = projection
        self._get_task = get_task
        self._kept = [projection.begin()]
        self._lock = asyncio.Lock()

    @property
    def latest(self) -> S:
        """The farthest state that is kept."""
        return self._kept[-1]

    async def now(self) -> S:
        """Return the state at the end of the log as it is now. Raises UnknownTask, Unreadable or
        StoreUnavailable."""
        async with self._lock:
            state = self._kept[-1]
            async with aclosing(self.batches(state)) as batches:
                async for batch in batches:
                    state = self._next(self._before(state, batch), batch)
            return state

    async def reach(self, place: int) -> tuple[list[bytes], S]:
        """Find the event whose frames include number `place`, counted from 0. Return its frames
        from that number on, and the state behind it. If the log has no such event: no frames, and
        the state at its end. Raises as `now` does."""
        async with self._lock:
            known = bisect_right(self._kept, place, key=lambda state: state.count)
            state = self._kept[max(0, known - 1)]
            async with aclosing(self.batches(state)) as batches:
                async for batch in batches:
                    before = self._before(state, batch)
                    state = self._next(before, batch)
                    if state.count > place:
                        return self._within(before, batch, place)
            return [], state

    def batches(self, state: S) -> AsyncGenerator[Batch, None]:
        """Yield what the log has behind a state, up to its end as it is now. Raises as `now`
        does."""
        return self._get_task.log(self._task_id, state.position)

    def _within(self, state: S, batch: Batch, place: int) -> tuple[list[bytes], S]:
        """Return what `reach` does, for an event of this batch: found by halves."""
        while len(batch.events) > 1:
            half = Batch(batch.after, batch.end.epoch, batch.events[: len(batch.events) // 2])
            middle = self._projection.fold(state, half)
            if middle.count > place:
                batch = half
            else:
                state, batch = middle, batch.behind(half.end)
        frames: list[bytes] = []
        after = self._projection.fold(state, batch, frames)
        return frames[place - state.count :], after

    def _before(self, state: S, batch: Batch) -> S:
        """Return the state before a batch: the first one, if the log has lost its end and begins
        anew."""
        if batch.after == state.position:
            return state
        self._kept = [self._projection.begin()]
        return self._kept[0]

    def _next(self, before: S, batch: Batch) -> S:
        after = self._projection.fold(before, batch)
        added = after.count - self._kept[-1].count
        if added >= CHECKPOINT_EVERY or (batch.closes and added > 0):
            self._kept.append(after)
        return after


class View(Protocol):
    """What is kept of one task."""

    @property
    def task_id(self) -> str: ...

    @property
    def characters(self) -> int:
        """How much text it holds."""
        ...


V = TypeVar("V", bound=View)


class Views(Generic[V]):
    """The views of the tasks that were asked for lately."""

    def __init__(self, get_task: GetTask, make: Callable[[Task, TaskRequest, GetTask], V]) -> None:
        self._get_task = get_task
        self._make = make
        self._views: OrderedDict[str, V] = OrderedDict()

    async def of(self, task_id: str, owner: str | None) -> V:
        """Return the view of a task. Raises UnknownTask, Unreadable or StoreUnavailable."""
        if (view := self._views.get(task_id)) is not None:
            await self._get_task.record(task_id, owner)
            return self._keep(view)
        task, request = await self._get_task.with_request(task_id, owner)
        return self.of_started(task, request or TaskRequest(model=task.requested_model))

    def of_started(self, task: Task, request: TaskRequest) -> V:
        """Return the view of a task of the caller, whose request is known."""
        known = self._views.get(task.id)
        return self._keep(known or self._make(task, request, self._get_task))

    def forget(self, task_id: str) -> None:
        """Drop the view of a task that is deleted."""
        self._views.pop(task_id, None)

    def _keep(self, view: V) -> V:
        self._views[view.task_id] = view
        self._views.move_to_end(view.task_id)
        held = sum(view.characters for view in self._views.values())
        while len(self._views) > 1 and (len(self._views) > VIEWS or held > TEXTS):
            _, oldest = self._views.popitem(last=False)
            held -= oldest.characters
        return view
