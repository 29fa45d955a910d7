"""`longtask serve`, `local-qstash`, `doctor` and `config`: the service, its queue, and what is to
know of their settings."""

import asyncio
import sys
from pathlib import Path

import click
import structlog

from adapters.database import DatabaseError
from adapters.qstash import QueueCredentials
from entrypoints.command_settings import settings_or_exit, tell_of_unknown
from entrypoints.data_file import DataFileError
from entrypoints.host_names import host_of
from entrypoints.log_output import configure_logs
from entrypoints.queue_server import serve_local_qstash
from entrypoints.server import serve
from entrypoints.settings import (
    ENV_FILE,
    settings_in_file,
    unknown_settings,
)
from entrypoints.settings.reference import describe
from entrypoints.sockets import AddressTaken
from entrypoints.terminal import one_line
from entrypoints.workers import serve_workers

log = structlog.get_logger(__name__)


@click.command("serve")
@click.option("--host", help="Address to listen on (LONGTASK_HOST).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port (LONGTASK_PORT).")
@click.option("--workers", type=int, help="Processes (LONGTASK_WORKERS). More than one need Redis.")
def serve_command(host: str | None, port: int | None, workers: int | None) -> None:
    """Run the service."""
    settings = settings_or_exit(host=host, port=port, workers=workers)
    configure_logs(
        settings.observability.log_level,
        settings.console_logs,
        traced=settings.observability.otlp_endpoint is not None,
    )
    if named := settings_in_file():
        log.info("settings read from a file", file=str(ENV_FILE.resolve()), names=named)
    for each in unknown_settings():
        log.warning("unknown setting", reason=each)
    try:
        if settings.service.workers == 1:
            serve(settings)
        else:
            serve_workers(settings)
    except (DataFileError, AddressTaken) as error:
        raise click.ClickException(str(error)) from error


@click.command("local-qstash")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A host name to accept requests at, besides localhost, IP addresses and --host. "
    "Repeatable.",
)
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep what it holds in this file, which is made if it is not there, and go on with it at "
    "the next start. The other users have files beside it. Otherwise all is in memory.",
)
@click.option("--json-logs", is_flag=True, help="Write log lines as JSON.")
def local_qstash_command(
    host: str, port: int, allowed_hosts: tuple[str, ...], data: Path | None, json_logs: bool
) -> None:
    """Run a QStash for development, with a page that shows what it does.

    It has the public tokens and keys of Upstash's development server (docs/local-qstash.md)."""
    names = [host_of(name) for name in allowed_hosts]
    if None in names:
        raise click.BadParameter("not a host name", param_hint="--allowed-host")
    configure_logs("INFO", console=not json_logs)
    try:
        accepted = {name for name in (*names, host_of(host)) if name}
        serve_local_qstash(host, port, accepted, data, _tell_of_local_qstash)
    except (AddressTaken, DatabaseError, DataFileError) as error:
        raise click.ClickException(str(error)) from error


def _tell_of_local_qstash(url: str, user: QueueCredentials) -> None:
    """What a project that uses it puts into its .env. On standard output, since keys that were
    rotated are not for the log."""
    click.echo(
        f"""\
# Into the .env of your project (the default user; the page has the other three):
QSTASH_URL={url}
QSTASH_TOKEN={user.token}
QSTASH_CURRENT_SIGNING_KEY={user.current_key}
QSTASH_NEXT_SIGNING_KEY={user.next_key}
# What it does: {url}/"""
    )


@click.command("doctor")
def doctor_command() -> None:
    """Check the real store, queue and model.

    Says what to do about what it finds. Run it while the service runs, with the same settings. Exit
    status 1 if something cannot work."""
    from entrypoints.doctor import examine  # noqa: PLC0415  (no server waits for these)
    from entrypoints.doctor.findings import warn  # noqa: PLC0415

    found = [warn("settings", each, "correct its name") for each in unknown_settings()]
    found += asyncio.run(examine(settings_or_exit()))
    for each in found:
        click.echo(f"{each.level:5}{each.part}: {one_line(each.what)}")
        if each.advice:
            click.echo(f"     -> {each.advice}")
    sys.exit(1 if any(each.level == "fail" for each in found) else 0)


@click.command("config")
def config_command() -> None:
    """Show every setting in force.

    Also shows which store, queue and model they select. Secrets are not shown."""
    settings = settings_or_exit()
    tell_of_unknown()
    for part, chosen in settings.chosen_parts().items():
        click.echo(f"# {part}: {chosen}")
    for variable, value, meaning in describe(settings):
        click.echo(f"{variable}={value}")
        click.echo(f"#   {meaning}")
