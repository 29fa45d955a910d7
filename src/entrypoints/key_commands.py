"""`longtask key new | list | withdraw`: the API keys of the settings, and of the file of keys."""

from pathlib import Path

import click

from entrypoints.api_keys import ApiKey, MalformedKeys, new_key, setting_lines
from entrypoints.keys_file import KeysFile, KeysFileError, add_entry, read_keys_file, withdraw
from entrypoints.settings import ENV_FILE, load_group
from entrypoints.settings.access import AccessSettings

SHOWN = 12
"""Hexadecimal digits by which a key is told from others of its name."""

_file_option = click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file of keys. By default the one that LONGTASK_API_KEYS_FILE names.",
)


@click.group("key")
def key_group() -> None:
    """Make, list and withdraw API keys."""


@key_group.command("new")
@click.argument("name")
@_file_option
def new_key_command(name: str, file: Path | None) -> None:
    """Make a key for NAME, who will own the tasks that are started with it.

    The key itself goes to standard error, and is not shown again. With a file of keys, its hash is
    added to the file, and a running service takes it within a few seconds. Standard output has the
    settings that are missing: without a file, those by which the service knows the hash beside the
    keys that are set. Add it to .env with >>."""
    try:
        key, entry = new_key(name)
    except MalformedKeys as error:
        message = (
            "a name is 1 to 64 letters, digits, '.', '_' or '-', and begins with a letter or digit"
        )
        raise click.ClickException(message) from error
    access = _access()
    named = access.api_keys_file.path if access.api_keys_file else None
    missing: dict[str, str] = {}
    if (file := file or named) is None:
        entries = [*(each.entry for each in access.api_keys), entry]
        missing["LONGTASK_API_KEYS"] = ",".join(entries)
    else:
        try:
            add_entry(file, entry)
        except KeysFileError as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"Its hash was added to {file}.", err=True)
        if named is None:
            missing["LONGTASK_API_KEYS_FILE"] = str(file.absolute())
    click.echo(f"The key of {name}, which is not shown again:", err=True)
    click.echo(key, err=True)
    for line in setting_lines(missing, access.stream_secret is not None):
        click.echo(line)


@key_group.command("list")
@_file_option
def list_command(file: Path | None) -> None:
    """List the keys: the name, the beginning of the hash, and where the entry is."""
    access = _access()
    found = _found(file, access, required=False)
    places: list[tuple[str, tuple[ApiKey, ...]]] = [("LONGTASK_API_KEYS", access.api_keys)]
    if found is not None:
        places = [(str(found), found.keys), *(places if file is None else [])]
    for place, keys in places:
        for key in keys:
            click.echo(f"{key.name}\t{_shown(key)}\t{place}")


@key_group.command("withdraw")
@click.argument("name")
@_file_option
@click.option("--hash", "start", metavar="HASH", help="Which key: its hash or the beginning of it.")
@click.option("--all", "all_", is_flag=True, help="All keys of NAME.")
def withdraw_command(name: str, file: Path | None, start: str | None, all_: bool) -> None:
    """Withdraw a key of NAME: remove it from the file of keys.

    A running service refuses it within a few seconds. When NAME has no key left, its streams end,
    and its links and the tokens of its chats are refused."""
    if start is not None and all_:
        raise click.UsageError("--hash and --all exclude each other")
    access = _access()
    found = _found(file, access, required=True)
    assert found is not None  # noqa: S101
    keys = [key for key in found.keys if key.name == name]
    if start is not None:
        keys = [key for key in keys if key.digest.hex().startswith(start.removeprefix("sha256:"))]
    if not keys:
        raise click.ClickException(f"{found} has no such key of this name")
    if len({key.digest for key in keys}) > 1 and not all_:
        hashes = ", ".join(map(_shown, keys))
        raise click.ClickException(
            f"{name} has several keys: say which with --hash ({hashes}), or --all"
        )
    try:
        withdraw(found.path, keys)
    except KeysFileError as error:
        raise click.ClickException(str(error)) from error
    for key in keys:
        click.echo(f"withdrawn: {key.name}\t{_shown(key)}")
    if name in {key.name for key in access.api_keys}:
        click.echo(f"{name} still has a key in LONGTASK_API_KEYS", err=True)


def _access() -> AccessSettings:
    access, faults = load_group(AccessSettings, ENV_FILE, {})
    if faults:
        raise click.ClickException("\n".join(["correct these settings first:", *faults]))
    return access


def _found(file: Path | None, access: AccessSettings, *, required: bool) -> KeysFile | None:
    """What is in the file of keys that was named here, or else in the settings."""
    found = read_keys_file(file) if file is not None else access.api_keys_file
    if found is not None and found.fault is not None:
        raise click.ClickException(found.fault)
    if found is None and required:
        raise click.ClickException("name the file with --file, or set LONGTASK_API_KEYS_FILE")
    return found


def _shown(key: ApiKey) -> str:
    return f"sha256:{key.digest.hex()[:SHOWN]}"
