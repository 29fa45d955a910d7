"""The command line: `longtask serve | ask | key | doctor | config | local-qstash`."""

import asyncio
import sys
from dataclasses import replace
from typing import Any

import click
import structlog

from adapters.qstash import DEVELOPMENT
from entrypoints import __version__
from entrypoints.api_keys import MalformedKeys, new_key, setting_lines
from entrypoints.ask import Asked, ask_embedded, ask_server
from entrypoints.doctor import examine
from entrypoints.doctor.findings import warn
from entrypoints.host_names import host_of
from entrypoints.log_output import configure_logs
from entrypoints.outgoing_proxies import bypass_proxies
from entrypoints.server import AddressTaken, serve, serve_local_qstash
from entrypoints.settings import (
    ENV_FILE,
    Settings,
    SettingsError,
    load_group,
    load_settings,
    settings_in_file,
    unknown_settings,
)
from entrypoints.settings.access import AccessSettings
from entrypoints.settings.reference import describe
from entrypoints.terminal import one_line
from entrypoints.workers import serve_workers

log = structlog.get_logger(__name__)

SETTINGS_EXIT = 2


def _settings(**overrides: Any) -> Settings:
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = load_settings(**given)
    except SettingsError as error:
        click.echo(f"longtask cannot start with these settings:\n{error}", err=True)
        _tell_of_unknown()  # a setting that is missing may be there under a misspelt name
        sys.exit(SETTINGS_EXIT)
    bypass_proxies(settings.service.host)
    return settings


def _tell_of_unknown() -> None:
    for each in unknown_settings():
        click.echo(f"warning: {each}", err=True)


@click.group()
@click.version_option(__version__)
def main() -> None:
    """Run long LLM tasks behind a queue and follow them live."""
    bypass_proxies()


@main.command("serve")
@click.option("--host", help="Address to listen on (LONGTASK_HOST).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port (LONGTASK_PORT).")
@click.option("--workers", type=int, help="Processes (LONGTASK_WORKERS). More than one need Redis.")
def serve_command(host: str | None, port: int | None, workers: int | None) -> None:
    """Run the service."""
    settings = _settings(host=host, port=port, workers=workers)
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
    except AddressTaken as error:
        raise click.ClickException(str(error)) from error


@main.command("local-qstash")
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
@click.option("--json-logs", is_flag=True, help="Write log lines as JSON.")
def local_qstash_command(
    host: str, port: int, allowed_hosts: tuple[str, ...], json_logs: bool
) -> None:
    """Run a QStash for development.

    It keeps messages in memory, and has the public token and keys of Upstash's development server.
    """
    names = [host_of(name) for name in allowed_hosts]
    if None in names:
        raise click.BadParameter("not a host name", param_hint="--allowed-host")
    configure_logs("INFO", console=not json_logs)
    try:
        accepted = {name for name in (*names, host_of(host)) if name}
        serve_local_qstash(host, port, accepted, _tell_of_local_qstash)
    except AddressTaken as error:
        raise click.ClickException(str(error)) from error


def _tell_of_local_qstash(url: str) -> None:
    """The settings of a service that uses it."""
    click.echo(f"QSTASH_URL={url}", err=True)
    click.echo(f"QSTASH_TOKEN={DEVELOPMENT.token}", err=True)
    click.echo(f"QSTASH_CURRENT_SIGNING_KEY={DEVELOPMENT.current_key}", err=True)
    click.echo(f"QSTASH_NEXT_SIGNING_KEY={DEVELOPMENT.next_key}", err=True)


@main.command("doctor")
def doctor_command() -> None:
    """Check the real store, queue and model.

    Says what to do about what it finds. Run it while the service runs, with the same settings. Exit
    status 1 if something cannot work."""
    found = [warn("settings", each, "correct its name") for each in unknown_settings()]
    found += asyncio.run(examine(_settings()))
    for each in found:
        click.echo(f"{each.level:5}{each.part}: {one_line(each.what)}")
        if each.advice:
            click.echo(f"     -> {each.advice}")
    sys.exit(1 if any(each.level == "fail" for each in found) else 0)


@main.command("config")
def config_command() -> None:
    """Show every setting in force.

    Also shows which store, queue and model they select. Secrets are not shown."""
    settings = _settings()
    _tell_of_unknown()
    for part, chosen in settings.chosen_parts().items():
        click.echo(f"# {part}: {chosen}")
    for variable, value, meaning in describe(settings):
        click.echo(f"{variable}={value}")
        click.echo(f"#   {meaning}")


@main.group("key")
def key_group() -> None:
    """Make API keys."""


@key_group.command("new")
@click.argument("name")
def new_key_command(name: str) -> None:
    """Make a key for NAME, who will own the tasks that are started with it.

    The key itself goes to standard error, and is not shown again. Standard output has the settings
    by which the service knows its hash beside the keys that are set: add it to .env with >>."""
    try:
        key, entry = new_key(name)
    except MalformedKeys as error:
        message = (
            "a name is 1 to 64 letters, digits, '.', '_' or '-', and begins with a letter or digit"
        )
        raise click.ClickException(message) from error
    access, faults = load_group(AccessSettings, ENV_FILE, {})
    if faults:
        raise click.ClickException("\n".join(["correct these settings first:", *faults]))
    click.echo(f"The key of {name}, which is not shown again:", err=True)
    click.echo(key, err=True)
    for line in setting_lines(entry, access.api_keys, access.stream_secret is not None):
        click.echo(line)


@main.command("ask")
@click.argument("prompt")
@click.option(
    "--server",
    envvar="LONGTASK_SERVER",
    help="A running service (LONGTASK_SERVER). Without it, one is started for this prompt.",
)
@click.option("--key", envvar="LONGTASK_KEY", help="The API key for that service (LONGTASK_KEY).")
@click.option("--model", help="The model. Default: that of the service.")
@click.option("--system", help="The system message.")
@click.option(
    "--max-tokens",
    type=int,
    help="The longest answer, 1 to 128,000. Default: that of the service, else the model's own.",
)
@click.option("--temperature", type=float, help="0 to 2. Default: likewise.")
def ask_command(
    prompt: str,
    server: str | None,
    key: str | None,
    model: str | None,
    system: str | None,
    max_tokens: int | None,
    temperature: float | None,
) -> None:
    """Start a task and print its text. Ctrl-C cancels the task.

    At a terminal the text is printed as it arrives. A file or a pipe gets it once the task has
    ended. If PROMPT is -, it is read from standard input. Exit status: 0 when the task completed, 1
    when it failed or its answer is empty, 130 when it was cancelled."""
    body = {
        "prompt": sys.stdin.read() if prompt == "-" else prompt,
        "model": model,
        "system": system,
        "maxTokens": max_tokens,
        "temperature": temperature,
    }
    asked = Asked({name: value for name, value in body.items() if value is not None})
    if server is not None:
        sys.exit(ask_server(server, asked, key))
    # A service for this prompt only, which no other machine can reach.
    if named := settings_in_file():
        click.echo(f"settings of {ENV_FILE.resolve()}: {', '.join(named)}", err=True)
    settings = _settings(host="127.0.0.1", port=0)
    _tell_of_unknown()
    settings = replace(settings, access=settings.access.model_copy(update={"api_keys": ()}))
    configure_logs("ERROR", settings.console_logs)
    sys.exit(ask_embedded(settings, asked))


if __name__ == "__main__":
    main()
