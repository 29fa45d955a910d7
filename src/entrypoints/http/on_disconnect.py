"""What becomes of a task whose client goes away before its end: it runs on, unless the client has
said otherwise."""

from collections.abc import Callable, Mapping

import structlog

from application.errors import ApplicationError
from application.manage_task import CancelTask
from domain.errors import IllegalTransition
from entrypoints.http.open_streams import OpenStreams
from entrypoints.http.problems import bad_field

HEADER = "X-Longtask-On-Disconnect"
_CANCEL, _RUN_ON = "cancel", "continue"

log = structlog.get_logger(__name__)


def cancels_on_disconnect(headers: Mapping[str, str]) -> bool:
    """Whether a request wants its task cancelled with its connection. Raises a problem (400)."""
    wanted = headers.get(HEADER, _RUN_ON).strip().lower()
    if wanted not in (_CANCEL, _RUN_ON):
        raise bad_field(HEADER, f"must be {_CANCEL} or {_RUN_ON}")
    return wanted == _CANCEL


def canceller(
    cancel_task: CancelTask, streams: OpenStreams, task_id: str, owner: str | None
) -> Callable[[], None]:
    """Return what cancels a task when its client has gone."""

    async def cancel() -> None:
        try:
            await cancel_task(task_id, owner)
        except IllegalTransition:
            pass  # it has ended
        except ApplicationError as error:
            log.warning("task not cancelled", task_id=task_id, error=str(error))

    return lambda: streams.finish_soon(cancel())
