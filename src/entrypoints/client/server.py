"""Which service a command calls, and with which API key.

The first of these counts: the options `--server` and `--key`, the variables LONGTASK_SERVER and
LONGTASK_KEY, and the login. Where none names a server, it is the one that this folder's settings
start on this machine. The key of a login goes to the server of that login only. The service of this
folder is sent no key: its address may come from a `.env` that the user did not write.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from shlex import quote
from typing import Any

import click
import httpx
from click.core import ParameterSource

from entrypoints.client.login import kept_login
from entrypoints.host_names import host_of, is_loopback, local_url
from entrypoints.outside_text import header_word, is_http_url, without_password
from entrypoints.terminal import one_line


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    """Without a slash at its end."""
    key: str | None = field(default=None, repr=False)
    words: str = ""
    """The words that name this server in another command; none if it is found without them."""
    about_key: str = ""
    """What to know, or to do, where the service wants a key or does not know this one."""
    about_address: str = "is the service running?"
    """The same where it cannot be reached."""

    @property
    def shown(self) -> str:
        """The URL as it may be shown."""
        return one_line(without_password(self.url))


_GIVE_A_KEY = "set --key or LONGTASK_KEY, or use `longtask login`"


def server_option(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add `--server` to a command, which is also read from LONGTASK_SERVER. `default`: what its
    help says of that."""
    meaning = f"The service (LONGTASK_SERVER). Default: {default}."
    return click.option("--server", metavar="URL", envvar="LONGTASK_SERVER", help=meaning)


def with_server(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--server` and `--key` to a command. It is given `server`: a `Server`, or None if neither
    these options nor the environment nor a login names one."""

    @server_option("that of `longtask login`")
    @click.option(
        "--key",
        metavar="KEY",
        envvar="LONGTASK_KEY",
        help="The API key for that service (LONGTASK_KEY). Default: likewise.",
    )
    @wraps(command)
    def chosen(*, server: str | None, key: str | None, **rest: Any) -> None:
        source = click.get_current_context().get_parameter_source("server")
        by_option = source is ParameterSource.COMMANDLINE
        command(server=_named(server, key, by_option=by_option), **rest)

    return chosen


def local_server() -> Server:
    """Return the service that this folder's settings start. Raises `click.ClickException` if they
    start none that this machine alone can reach, or do not say where."""
    # Imported here, since no other command that names its service needs the settings.
    from entrypoints.settings import ENV_FILE, load_group  # noqa: PLC0415
    from entrypoints.settings.service import ServiceSettings  # noqa: PLC0415

    settings, faults = load_group(ServiceSettings, ENV_FILE, {})
    if faults:
        raise click.ClickException("\n".join(["correct these settings first:", *faults]))
    url = local_url(settings.host, settings.port)
    if settings.port == 0 or not is_loopback(host_of(url.removeprefix("http://"))):
        raise click.ClickException(
            "no service is named: use --server, LONGTASK_SERVER or `longtask login`"
        )
    return Server(
        url,
        about_key=f"name this service with --server {url}, and {_GIVE_A_KEY}",
        about_address="start it with `longtask serve`, or name another with --server, "
        "LONGTASK_SERVER or `longtask login`",
    )


def server_in_completion(context: click.Context) -> Server:
    """Return the service of a command line that is not finished. Raises `click.ClickException`."""
    given = context.params
    return _named(given.get("server"), given.get("key"), by_option=False) or local_server()


def checked_url(address: str) -> str:
    """Return the URL of a server, without a slash at its end. Raises `click.ClickException`."""
    url = with_scheme(address).rstrip("/")
    try:
        usable = is_http_url(url) and bool(httpx.URL(url).host.encode("idna"))
    except (httpx.InvalidURL, UnicodeError):
        usable = False
    if not usable:
        shown = one_line(without_password(url))
        message = f"{shown} is not the URL of a service, such as http://localhost:8000"
        raise click.ClickException(message)
    return url


def checked_key(key: str) -> str | None:
    """Return an API key without the white space around it, None if nothing else is there. Raises
    `click.ClickException` if it cannot be one."""
    try:
        return header_word(key) or None
    except ValueError as error:
        raise click.ClickException(f"the API key {error}") from None


def with_scheme(address: str) -> str:
    """Return the URL of a server that may be given without `http://` or `https://`: it is https,
    except on this machine."""
    address = address.strip()
    if "://" in address:
        return address
    host = host_of(address.partition("/")[0])
    return f"{'http' if is_loopback(host) else 'https'}://{address}"


def _named(address: str | None, key: str | None, *, by_option: bool) -> Server | None:
    login = None if address is not None and key is not None else kept_login()
    if address is None and login is None:
        return None
    url = checked_url(login.server if address is None and login is not None else address or "")
    words = f" --server {quote(without_password(url))}" if by_option else ""
    if key is not None and (given := checked_key(key)) is not None:
        return Server(url, given, words, "the key is that of --key or LONGTASK_KEY")
    if login is not None and login.server == url and login.key is not None:
        about_key = f"the key is that of `longtask login`: log in again, or {_GIVE_A_KEY}"
        return Server(url, checked_key(login.key), words, about_key)
    return Server(url, None, words, _GIVE_A_KEY)
