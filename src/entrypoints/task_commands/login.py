"""`longtask login` and `logout`: the server and key of all other commands, in one place."""

import asyncio
import os
import sys

import click
import httpx

from entrypoints.client.api import Api, ServiceError
from entrypoints.client.login import Login, forget_login, keep_login
from entrypoints.client.printing import say
from entrypoints.client.server import Server, checked_key, checked_url, server_option
from entrypoints.host_names import is_loopback

_PROBE = "task_0_login"
"""The id of no task: what the service says of it shows whether it accepts the key."""


@click.command("login")
@server_option("it is asked for")
def login_command(server: str | None) -> None:
    """Keep a server and its API key for all commands.

    The key is asked for and not shown, or read from standard input if that is no terminal. It is
    tried at the server first, and kept in a file that only you may read. An empty key is for a
    service that needs none."""
    asks = sys.stdin is not None and sys.stdin.isatty()
    if server is None:
        if not asks:
            raise click.UsageError("Name the server: --server URL.")
        server = click.prompt("Server", err=True)
    url = checked_url(server)
    key = checked_key(_asked_key() if asks else _piped_key())
    if key and url.startswith("http://") and not is_loopback(httpx.URL(url).host):
        say("warning: with http:// others on the way can read the key; https:// hides it")
    target = Server(url, key, about_key="the login is as it was before")
    asyncio.run(_try(target))
    file = keep_login(Login(url, key))
    say(f"logged in to {target.shown}{'' if key else ' without a key'}, kept in {file}")
    for name in ("LONGTASK_SERVER", "LONGTASK_KEY"):
        if os.environ.get(name):
            say(f"{name} is set and comes before the login")


@click.command("logout")
def logout_command() -> None:
    """Forget the server and key of the login. The key itself stays valid."""
    if not forget_login():
        say("there is no login")
        return
    say("logged out")


async def _try(server: Server) -> None:
    async with Api(server) as api:
        try:
            await api.record(_PROBE)
        except ServiceError as error:
            if error.kind != "unknown-task":
                raise


def _asked_key() -> str:
    prompt = "API key (nothing is shown; empty for none)"
    return str(click.prompt(prompt, default="", show_default=False, hide_input=True, err=True))


def _piped_key() -> str:
    try:
        return sys.stdin.readline() if sys.stdin is not None else ""
    except UnicodeDecodeError:
        raise click.ClickException("the API key must be ASCII") from None
