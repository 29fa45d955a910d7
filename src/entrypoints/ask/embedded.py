"""Ask a service that is started for one prompt, which no other machine can reach."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import click

from entrypoints.ask.following import Asked, ask
from entrypoints.client.printing import FAILED, say
from entrypoints.client.server import Server
from entrypoints.command_settings import settings_or_exit, tell_of_unknown
from entrypoints.log_output import configure_logs
from entrypoints.server import Service
from entrypoints.settings import ENV_FILE, Settings, settings_in_file
from entrypoints.settings.store import IN_MEMORY
from entrypoints.sockets import AddressTaken


def ask_embedded(asked: Asked) -> int:
    """Ask a service with the settings of the environment and of `.env`; return the exit status.
    Raises `ServiceError`."""
    if named := settings_in_file():
        click.echo(f"settings of {ENV_FILE.resolve()}: {', '.join(named)}", err=True)
    settings = settings_or_exit(host="127.0.0.1", port=0, data=IN_MEMORY)
    tell_of_unknown()
    no_keys = {"api_keys": (), "api_keys_file": None}
    settings = replace(settings, access=settings.access.model_copy(update=no_keys))
    configure_logs("ERROR", settings.console_logs)
    return asyncio.run(_ask(settings, asked))


async def _ask(settings: Settings, asked: Asked) -> int:
    try:
        service = Service(settings, signals=False)
    except AddressTaken as error:
        say(str(error))
        return FAILED
    async with _running(service):
        return await ask(Server(service.url), asked)


@asynccontextmanager
async def _running(service: Service) -> AsyncIterator[None]:
    ready = asyncio.Event()
    serving = asyncio.create_task(service.run(ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        yield
    finally:
        service.stop()
        await serving
