"""`longtask backup` and `longtask migrate`: what can be done with the data file."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from adapters.database import DatabaseError, DatabaseHeld, back_up, open_database
from adapters.redis import Adoption, Connection, RestConnection, connect
from adapters.redis_address import MalformedUrl, parse_address
from adapters.sqlite import HandingOver
from application.errors import StoreUnavailable
from entrypoints.data_file import SCHEMAS
from entrypoints.migration import Report, UnfinishedTasks, migrate
from entrypoints.settings import ENV_FILE, load_group
from entrypoints.settings.store import StoreSettings

PROGRESS_EVERY = 5.0
"""Seconds."""


@click.command("backup")
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
def backup_command(target: Path) -> None:
    """Copy the data file to FILE, also while the service runs.

    The copy is the file as it is at one moment. It holds prompts, answers and keys, so only this
    user may read it. Nothing is overwritten. To restore it, stop the service and put
    a copy of it in the place of the data file (docs/sqlite.md)."""
    store = _store()
    try:
        with _ended_in_order():
            copied = back_up(_file(store), target, "tasks")
    except DatabaseError as error:
        raise click.ClickException(str(error)) from error
    tasks = "1 task" if copied.rows == 1 else f"{copied.rows:,} tasks"
    click.echo(f"{click.format_filename(target)}: {copied.size:,} bytes, {tasks}")
    if store.shared:
        click.echo("These settings keep tasks in Redis, which is not backed up by this.", err=True)


@click.command("migrate")
@click.option(
    "--to",
    "url",
    metavar="URL",
    help="The Redis: whatever REDIS_URL takes. Without it, the one that the settings name.",
)
def migrate_command(url: str | None) -> None:
    """Copy all tasks from the data file to Redis.

    The service must be stopped and every task must have ended. What Redis has already stays as it
    is, so this can be repeated; only a task that has not ended there, and is not running, is
    replaced. The file is not changed."""
    store = _store()
    file = _file(store)
    try:
        report = asyncio.run(_migrate(file, _redis(store, url)))
    except DatabaseHeld as error:
        raise click.ClickException(f"{error}; stop that process first") from error
    except (DatabaseError, UnfinishedTasks, StoreUnavailable) as error:
        raise click.ClickException(str(error)) from error
    _tell(report, file)
    if report.running:
        raise click.ClickException(
            "stop the services that use this Redis, and migrate again a minute later: what ends "
            "there is not replaced"
        )


async def _migrate(file: Path, redis: Connection) -> Report:
    told = time.monotonic()

    def progress(report: Report) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_EVERY:
            told = time.monotonic()
            click.echo(f"{report.tasks.copied + report.tasks.there:,} tasks so far", err=True)

    try:
        database = open_database(file, SCHEMAS)
        try:
            source = HandingOver(database, round(time.time() * 1000))
            return await migrate(source, Adoption(redis), progress)
        finally:
            await database.aclose()
    finally:
        await redis.aclose()


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let what ends this process do so as Ctrl-C does, so that nothing half is left behind."""
    ends = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(each, signal.default_int_handler) for each in ends]
    try:
        yield
    finally:
        for each, handler in zip(ends, before, strict=True):
            signal.signal(each, handler)


def _store() -> StoreSettings:
    store, faults = load_group(StoreSettings, ENV_FILE, {})
    if faults:
        raise click.ClickException("\n".join(["correct these settings first:", *faults]))
    return store


def _file(store: StoreSettings) -> Path:
    if store.file is None:
        raise click.ClickException("LONGTASK_DATA is `memory`, so there is no data file")
    if not os.path.isfile(store.file):  # does not raise where a folder may not be searched
        raise click.ClickException(
            f"there is no {store.file}: set LONGTASK_DATA as for the service, or run this in its "
            "folder"
        )
    return store.file


def _redis(store: StoreSettings, url: str | None) -> Connection:
    rest, token = store.upstash_redis_rest_url, store.upstash_redis_rest_token
    if url is None and rest is not None and token is not None:
        return RestConnection(
            rest,
            token.get_secret_value(),
            connections=store.redis_connections,
            timeout=store.redis_timeout,
        )
    try:
        address = store.redis_url if url is None else parse_address(url)
    except MalformedUrl as error:
        raise click.BadParameter(str(error), param_hint="--to") from error
    if address is None:
        raise click.ClickException("say which Redis with --to redis://host:port, or set REDIS_URL")
    return connect(
        address,
        connections=store.redis_connections,
        connect_timeout=store.redis_connect_timeout,
        timeout=store.redis_timeout,
    )


def _tell(report: Report, file: Path) -> None:
    for moved, one, many in (
        (report.tasks, "task", "tasks"),
        (report.keys, "idempotency key or chat", "idempotency keys and chats"),
        (report.tombstones, "tombstone", "tombstones"),
        (report.usage, "day of usage", "days of usage"),
    ):
        there = f", {moved.there:,} there already" if moved.there else ""
        click.echo(f"{moved.copied:,} {one if moved.copied == 1 else many} copied{there}")
    for task_id in report.unreadable:
        click.echo(f"not copied, since its record or log cannot be read: {task_id}", err=True)
    for task_id in report.running:
        click.echo(f"not copied, since it is running in Redis: {task_id}", err=True)
    if report.running:
        return
    name = click.format_filename(file)
    click.echo(f"{name} is as it was. Move it away, set REDIS_URL, and start the service.")
