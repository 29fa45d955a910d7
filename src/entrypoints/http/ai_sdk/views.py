"""Views of tasks as UI message streams: the state at any chunk, on any instance."""

from application.manage_task import GetTask
from domain.request import TaskRequest
from domain.task import Task
from entrypoints.http.ai_sdk.projection import UiProjection
from entrypoints.http.ai_sdk.replay import NOTHING_EARLIER, earlier_of
from entrypoints.http.ai_sdk.ui_state import StreamContext, UiState, echo_of
from entrypoints.http.sse.checkpoints import Checkpoints


class UiView:
    """One task as a UI message stream.

    It has two streams: that of the task alone, and that of the chat, which tells the message from
    its beginning. They differ where the answer continues a message of the assistant."""

    def __init__(self, task: Task, request: TaskRequest, get_task: GetTask) -> None:
        context, echo = StreamContext.of(task.id, request), echo_of(request)
        self.task_id = task.id
        self.chat_id: str | None = echo.get("chatId")
        """The chat that the task was started in, if any."""
        self._earlier = NOTHING_EARLIER
        self._of_task = self._of_chat = UiProjection(context)
        if (message := echo.get("message")) is not None:
            self._earlier = earlier_of(message, context.sdk)
            self._of_chat = UiProjection(context, self._earlier)
        self.characters = sum(map(len, self._earlier.frames))
        """Of the message that the answer continues."""
        self._checkpoints = Checkpoints(task.id, self._of_task, get_task)

    def projection(self, *, by_chat: bool) -> UiProjection:
        return self._of_chat if by_chat else self._of_task

    async def behind(self, index: int, *, by_chat: bool) -> tuple[bytes, UiState] | None:
        """Return a state from which a reader can go on, and the frames from chunk `index` (counted
        from 0) up to that state. None if there is no such chunk: the stream ended before it, or it
        is farther than the next chunk. Raises UnknownTask, Unreadable or StoreUnavailable."""
        if index == 0:
            return b"", self._of_task.begin()
        earlier = self._earlier.frames if by_chat else ()
        # Those of the message stand between the first chunk of the task and the next one.
        repeated = earlier[index - 1 :]
        place = max(1, index - len(earlier))
        frames, state = await self._checkpoints.reach(place)
        if not frames and (state.finished or state.count != place):
            return None
        return b"".join([*repeated, *frames]), state
