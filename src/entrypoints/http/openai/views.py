"""Views of responses: the state of a response at any place in its stream, on any instance."""

from contextlib import aclosing

from application.manage_task import GetTask
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
from entrypoints.http.sse.checkpoints import Checkpoints


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
        self._checkpoints = Checkpoints(task.id, self.projection, get_task)

    @property
    def characters(self) -> int:
        """How many of the answer it holds."""
        latest = self._checkpoints.latest
        return latest.text_size + latest.reasoning_size + latest.hosted_size

    async def now(self) -> ResponseState:
        """Return the state at the end of the log as it is now. Raises UnknownTask, Unreadable or
        StoreUnavailable."""
        return await self._checkpoints.now()

    async def behind(self, number: int) -> tuple[bytes, ResponseState]:
        """Return the state behind the event of a number, and the frames that are still to be told
        up to there. If the log has no such event: the state before the first one. Raises as `now`
        does."""
        frames, state = await self._checkpoints.reach(place_of(number))
        if frames and is_number_of(number, state.position.epoch):
            return b"".join(frames[1:]), state
        return b"", self.projection.begin()

    async def last_attempt(self) -> tuple[bytes, ResponseState]:
        """Return the state at the beginning of the last attempt that has begun, and the frames that
        a stream must begin with: what was lost before is left out. Raises as `now` does."""
        fold, created = self.append_only.begin(), b""
        begun = b"", fold
        async with aclosing(self._checkpoints.batches(fold)) as batches:
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
