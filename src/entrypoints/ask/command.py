"""The command `longtask ask`: its words, and which service it asks."""

import sys

import click

from domain.request import MAX_TOKENS_LIMIT, REQUEST_LIMIT
from entrypoints.ask.following import Asked, ask_server, start_at
from entrypoints.ask.request import (
    check_size,
    messages_of,
    options_of,
    prompt_of,
    read_duration,
)
from entrypoints.client.printing import Printer, Show, print_as_json, print_started
from entrypoints.client.server import Server, local_server, with_server


@click.command("ask")
@click.argument("prompt", required=False)
@with_server
@click.option("--model", help="The model. Default: that of the service.")
@click.option("--system", metavar="TEXT", help="The system message.")
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="FILE|URL",
    help="An image to send: a file, or the URL of one. Repeatable.",
)
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="FILE",
    help="A file to send. UTF-8 text goes as text under its name, images and recordings (WAV, MP3) "
    "as such, any other, such as a PDF, as a file. Repeatable.",
)
@click.option(
    "--previous", metavar="TASK_ID", help="Go on from a task that has completed or was cancelled."
)
@click.option(
    "--max-tokens",
    type=int,
    help=f"The longest answer, 1 to {MAX_TOKENS_LIMIT:,}. Default: that of the service, else the "
    "model's own.",
)
@click.option("--temperature", type=float, help="0 to 2. Default: likewise.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other parameter of chat completions, such as reasoning_effort=low. VALUE is JSON, or "
    "a text if it is none. Repeatable.",
)
@click.option(
    "--schema",
    metavar="FILE",
    help="Ask for JSON that fits this JSON Schema, whose name is that of the file.",
)
@click.option(
    "--delay",
    metavar="TIME",
    callback=read_duration,
    help="Let the task begin later: after 90s, 10m, 2h or 7d.",
)
@click.option(
    "--deadline",
    metavar="TIME",
    callback=read_duration,
    help="Let the task fail if it has not ended after this time.",
)
@click.option("--reasoning", is_flag=True, help="Show the model's reasoning on standard error.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON.")
@click.option("--detach", is_flag=True, help="Start the task, print its id, and leave it to run.")
@click.option(
    "--max-request-bytes",
    envvar="LONGTASK_MAX_REQUEST_BYTES",
    type=click.IntRange(1),
    default=REQUEST_LIMIT,
    show_default=True,
    help="The largest request to send (LONGTASK_MAX_REQUEST_BYTES). Raise it only if the service "
    "accepts more.",
)
def ask_command(
    prompt: str | None,
    server: Server | None,
    model: str | None,
    system: str | None,
    images: tuple[str, ...],
    files: tuple[str, ...],
    previous: str | None,
    max_tokens: int | None,
    temperature: float | None,
    options: tuple[str, ...],
    schema: str | None,
    delay: int | None,
    deadline: int | None,
    reasoning: bool,
    as_json: bool,
    detach: bool,
    max_request_bytes: int,
) -> None:
    """Start a task and print its text. Ctrl-C cancels the task.

    Without a server that is named, a service is started for this prompt, and ends with it.

    Standard output gets the text and nothing else: at a terminal as it arrives, a file or a pipe
    once the task has ended. Tool calls, sources and what else there is to say go to standard error.
    With --detach it gets the id of the task.

    PROMPT is read from standard input if it is - or left out. Text that is piped in beside a PROMPT
    follows it after an empty line.

    Exit status: 0 when the task completed (also with a refusal, with tool calls only, or with an
    answer that does not fit the schema), 1 when it was refused or failed or its answer is empty, 2
    when the command line or a setting is wrong, 130 when it was cancelled."""
    chosen = options_of(options, schema)
    written = prompt_of(prompt, optional=bool(images or files))
    body = {
        **messages_of(written, images, files, max_request_bytes),
        "model": model,
        "system": system,
        "maxTokens": max_tokens,
        "temperature": temperature,
        "options": chosen,
        "previousTaskId": previous,
        "delay": delay,
        "deadline": deadline,
    }
    body = {name: value for name, value in body.items() if value is not None}
    check_size(body, max_request_bytes)

    def printer() -> Show:
        if as_json:
            return print_as_json
        return Printer(limited=max_tokens is not None, reasoning=reasoning).show

    if detach:
        server = server or local_server()
        print_started(start_at(server, body), server.words, as_json=as_json)
        return
    asked = Asked(body, printer)
    if server is not None:
        sys.exit(ask_server(server, asked))
    # Imported here, since it imports the whole service.
    from entrypoints.ask.embedded import ask_embedded  # noqa: PLC0415

    sys.exit(ask_embedded(asked))
