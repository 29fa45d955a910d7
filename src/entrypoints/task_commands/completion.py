"""The ids of tasks, for the completion of shells."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import click
from click.shell_completion import CompletionItem

from entrypoints.client.api import Api, Body
from entrypoints.client.server import Server, server_in_completion
from entrypoints.task_commands.wanted import PAGE_LIMIT, Wanted
from entrypoints.terminal import one_line

_TIMEOUT = 1.0
"""Seconds. Someone waits for what the Tab key does."""

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def task_ids(*statuses: str) -> Complete:
    """Return what completes the id of one of the newest tasks (of these statuses). It is silent
    where the service cannot be asked."""

    def complete(
        context: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        named = context.params.get(parameter.name or "") or ()
        with suppress(Exception):
            tasks = asyncio.run(_newest(server_in_completion(context), Wanted(frozenset(statuses))))
            return [
                CompletionItem(task["taskId"], help=_help(task))
                for task in tasks
                if task["taskId"].startswith(incomplete) and task["taskId"] not in named
            ]
        return []

    return complete


async def _newest(server: Server, wanted: Wanted) -> list[Body]:
    async with asyncio.timeout(_TIMEOUT), Api(server) as api:
        tasks: list[Body] = (await api.page(wanted.query(PAGE_LIMIT)))["tasks"]
        return tasks


def _help(task: Body) -> str:
    return one_line(f"{task['status']}: {task.get('title') or ''}")
