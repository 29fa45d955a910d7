"""The body of a start, made of what the command line has."""

import json
import re
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from entrypoints.ask.attachments import Part, file_part, image_part, mebibytes, text_part
from entrypoints.times import duration_of

STDIN_NOTICE = 1.0
"""Seconds after which it is said that standard input is waited for."""
SCHEMA_NAME_LIMIT = 64
"""Characters of a schema's name, as OpenAI has it."""


def prompt_of(argument: str | None, *, optional: bool) -> str | None:
    """Return the prompt: the argument, or standard input where there is none or it is `-`. Text
    that is piped in beside an argument follows it after an empty line. Raises `click.UsageError`
    where there is neither, unless the prompt is `optional`."""
    reads = sys.stdin is not None and (argument == "-" or not sys.stdin.isatty())
    piped = _standard_input() if reads else ""
    if argument not in (None, "-"):
        return f"{argument}\n\n{piped}" if piped.strip() else argument
    if not (piped.strip() or optional):
        raise click.UsageError("Give a PROMPT, or pipe one in.")
    return piped or None


def _standard_input() -> str:
    waited = threading.Timer(STDIN_NOTICE, click.echo, ["reading standard input"], {"err": True})
    waited.daemon = True
    waited.start()
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.UsageError("Standard input is not UTF-8 text. Use --file.") from None
    finally:
        waited.cancel()


def messages_of(
    prompt: str | None, images: Sequence[str], files: Sequence[str], limit: int
) -> dict[str, Any]:
    """Return the fields of a prompt with its attachments: `prompt`, or `messages` with one message
    of parts. `limit`: the bytes of a whole request. Raises `click.BadParameter`."""
    parts: list[Part] = [image_part(each, limit) for each in images]
    parts += [file_part(each, limit) for each in files]
    if not parts:
        return {"prompt": prompt}
    if prompt is not None:
        parts.append(text_part(prompt))
    return {"messages": [{"role": "user", "content": parts}]}


def options_of(given: Iterable[str], schema: str | None) -> dict[str, Any] | None:
    """Return the options that are given as `key=value`, and by a schema. None if there is none.
    Raises `click.BadParameter`."""
    options = dict(_option(each) for each in given)
    if schema is not None:
        if "response_format" in options:
            message = "response_format is given twice: by --schema and by --option"
            raise click.BadParameter(message, param_hint="--schema")
        options["response_format"] = _response_format(schema)
    return options or None


def _option(given: str) -> tuple[str, Any]:
    key, equals, value = given.partition("=")
    if not (key and equals):
        raise click.BadParameter(f"{given} has not the form KEY=VALUE", param_hint="--option")
    try:
        return key, json.loads(value)
    except ValueError as error:
        if value.lstrip().startswith(("{", "[", '"')):  # it was meant to be JSON
            message = f"{key} is not valid JSON: {error}"
            raise click.BadParameter(message, param_hint="--option") from None
        return key, value


def _response_format(where: str) -> dict[str, Any]:
    try:
        schema = json.loads(Path(where).read_text(encoding="utf-8-sig"))
    except OSError as error:
        message = f"{where}: {error.strerror or error}"
        raise click.BadParameter(message, param_hint="--schema") from None
    except ValueError as error:
        message = f"{where} is not valid JSON: {error}"
        raise click.BadParameter(message, param_hint="--schema") from None
    if not isinstance(schema, dict):
        message = f"{where} must hold an object"
        raise click.BadParameter(message, param_hint="--schema")
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(where).name.partition(".")[0])
    name = name[:SCHEMA_NAME_LIMIT] or "answer"
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}


def read_duration(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    """Return the seconds of a duration. Raises `click.BadParameter`."""
    seconds = None if text is None else duration_of(text)
    if text is not None and seconds is None:
        raise click.BadParameter(f"{text} is no time such as 90s, 10m, 2h or 7d")
    return seconds


def check_size(body: dict[str, Any], limit: int) -> None:
    """Raise `click.UsageError` if a body has more than `limit` bytes."""
    size = len(json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if size > limit:
        raise click.UsageError(
            f"The request has {mebibytes(size)}, images and files as base64; it may have "
            f"{mebibytes(limit)}. Leave something out, or raise --max-request-bytes if the service "
            "accepts more."
        )
