"""All use cases, as one value that the entrypoints get."""

from dataclasses import dataclass

from application.chats import Chats
from application.deadlines import EndOverdueTask
from application.follow_task import FollowTask
from application.get_usage import GetUsage
from application.list_models import ListModels
from application.list_tasks import ListTasks
from application.manage_task import CancelTask, DeleteTask, GetTask
from application.quotas import Quotas
from application.reap import HandleExhaustedDeliveries
from application.retry_task import RetryTask
from application.run_directly import RunDirectly
from application.run_task import RunTask
from application.send_webhook import SendWebhook
from application.start_task import StartTask
from application.watch_tasks import WatchTasks


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    start_task: StartTask
    retry_task: RetryTask
    chats: Chats
    get_task: GetTask
    cancel_task: CancelTask
    delete_task: DeleteTask
    follow_task: FollowTask
    list_tasks: ListTasks
    watch_tasks: WatchTasks
    list_models: ListModels
    get_usage: GetUsage
    run_task: RunTask
    run_directly: RunDirectly
    handle_exhausted: HandleExhaustedDeliveries
    end_overdue: EndOverdueTask
    send_webhook: SendWebhook
    quotas: Quotas
    """Admits streams and holds their slots."""
