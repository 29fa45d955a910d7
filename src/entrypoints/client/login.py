"""The login: the server and key that a user's commands use where nothing else names one.

They are in one file of the user's configuration, `longtask/login.json` under `XDG_CONFIG_HOME` (by
default `~/.config`), which only the user may read.
"""

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click


@dataclass(frozen=True, slots=True)
class Login:
    server: str
    """The URL."""
    key: str | None = field(repr=False)


def login_file() -> Path:
    """Return where the login is kept, whether there is one or not. Raises RuntimeError where the
    user has no home."""
    configured = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    if not configured.is_absolute():  # as the XDG Base Directory Specification has it
        configured = Path("~/.config").expanduser()
    return configured / "longtask" / "login.json"


def kept_login() -> Login | None:
    """Return the login, None without one or where it is not this user's to read. Raises
    `click.ClickException` if its file cannot be read otherwise."""
    try:
        file = login_file()
        kept = json.loads(file.read_bytes())
        server, key = kept["server"], kept["key"]
    except (FileNotFoundError, NotADirectoryError, PermissionError, RuntimeError):
        return None  # RuntimeError: the user has no home
    except OSError as error:
        raise click.ClickException(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        message = f"{file} is not as `longtask login` writes it: log in again, or remove it"
        raise click.ClickException(message) from error
    return Login(str(server), None if key is None else str(key))


def keep_login(login: Login) -> Path:
    """Write the login in the place of the one before; return its file. Raises
    `click.ClickException`."""
    file = _file_or_exit()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent)  # of mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as written:
                json.dump(asdict(login), written)
            Path(name).replace(file)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from error
    return file


def forget_login() -> bool:
    """Remove the login; return whether there was one. Raises `click.ClickException`."""
    file = _file_or_exit()
    try:
        file.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise click.ClickException(f"cannot remove {file}: {error.strerror}") from error
    return True


def _file_or_exit() -> Path:
    try:
        return login_file()
    except RuntimeError as error:
        message = "there is no home folder to keep a login in: set XDG_CONFIG_HOME"
        raise click.ClickException(message) from error
