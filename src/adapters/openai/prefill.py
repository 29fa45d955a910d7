"""Prefill: servers that go on from the beginning of an answer, and how each wants to be asked.

The beginning is put behind the conversation as a message of the assistant, and the server is told
that this message is not whole. A server that does not know its own form so asked ignores it, and
begins the answer once more: so the settings name the server, and nothing is guessed.

docs/prefill.md has where each form is documented.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import takewhile
from operator import eq
from typing import Any

import structlog

from application.errors import ContinuationLost, ModelRefused
from application.ports import Finished, Item
from domain.answer import Answer, Piece, Reasoning, Text
from domain.events import Usage
from domain.request import TaskRequest

log = structlog.get_logger(__name__)

Ask = Callable[[TaskRequest], AsyncGenerator[Item, None]]


@dataclass(frozen=True, slots=True)
class Server:
    """How a kind of server is asked to go on."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Of the call."""
    marks: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the last message."""
    repeats: bool = False
    """Whether the server repeats the beginning before it goes on."""


_UNFINISHED = {"continue_final_message": True, "add_generation_prompt": False}
SERVERS = {
    "vllm": Server(_UNFINISHED),
    "sglang": Server({"continue_final_message": True}),
    # Goes on without these, unless it was started with --no-prefill-assistant.
    "llama_cpp": Server(_UNFINISHED),
    "mistral": Server(marks={"prefix": True}, repeats=True),
    "deepseek": Server(marks={"prefix": True}),
    "kimi": Server(marks={"partial": True}),
    "qwen": Server(marks={"partial": True}),
}
"""By the values of LONGTASK_PREFILL, other than `off`."""

# What says which form the whole answer must have: a server would demand it of the rest.
_SHAPING = (
    "response_format",
    "structured_outputs",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "json_schema",
    "grammar",
    "regex",
    "ebnf",
)
# What asks for a prefill of the client's own, for a repetition, or for numbers for each token.
_CONFLICTING = (
    "continue_final_message",
    "add_generation_prompt",
    "echo",
    "logprobs",
    "top_logprobs",
    "prompt_logprobs",
)
_PLAIN_TEXT: tuple[object, ...] = (None, False, {"type": "text"})
_FREE_CHOICES: tuple[object, ...] = (None, "auto", "none")


def can_continue(request: TaskRequest, said: Answer) -> bool:
    """Whether a server that knows prefill can go on from this beginning of an answer. Only text can
    be given back to it: not reasoning, calls of tools, or sources. Neither is a refusal."""
    options, conversation = request.options, request.conversation()
    if replace(said, text="") != Answer():
        return False
    if any(options.get(name) not in _PLAIN_TEXT for name in (*_SHAPING, *_CONFLICTING)):
        return False
    if options.get("tool_choice") not in _FREE_CHOICES:
        return False
    # The client's own prefill is a message of the assistant already.
    begun_by_client = conversation[-1].get("role") == "assistant"
    return bool(said.text.strip()) and not begun_by_client


async def go_on(
    server: Server | None, request: TaskRequest, said: Answer, ask: Ask
) -> AsyncGenerator[Item, None]:
    """Yield the rest of an answer (`LanguageModel.stream`). `ask`: asks the server.

    Raises ContinuationLost if the server cannot go on, refuses to, or begins to reason: then it has
    begun another answer.
    """
    if server is None or not can_continue(request, said):
        raise _lost("The model's server cannot go on from the answer so far.")
    sent = said.text.rstrip()
    left = None if request.max_tokens is None else request.max_tokens - said.tokens
    if left is not None and left <= 0:
        yield Finished("length", request.model, Usage(0, 0, 0))
        return
    rest = _Rest(sent if server.repeats else "", said.text[len(sent) :])
    try:
        async with aclosing(ask(_asking(server, request, sent, left))) as items:
            async for item in items:
                if isinstance(item, tuple) and not rest.begun:
                    pieces = rest.feed(item)
                    if pieces or not item:
                        yield pieces
                    continue
                if isinstance(item, Finished) and (last := rest.end()):
                    yield last
                yield item
    except ModelRefused as error:
        if rest.begun or error.code != "invalid_request":
            raise
        log.warning("prefill refused", model=request.model)
        raise _lost("The model's server refused to go on from the text so far.") from error


def _asking(server: Server, request: TaskRequest, sent: str, left: int | None) -> TaskRequest:
    """Return the request for the rest of an answer."""
    beginning = {"role": "assistant", "content": sent, **server.marks}
    return replace(
        request,
        prompt=None,
        system=None,
        history=(),
        messages=(*request.conversation(), beginning),
        max_tokens=left,
        options={**request.options, **server.parameters},
    )


class _Rest:
    """Finds where the rest of an answer begins in what a server says.

    White space at the end of a beginning is not sent: templates strip it, and few models go on well
    behind it. What the model says of it once more is left out.
    """

    def __init__(self, repeated: str, blank: str) -> None:
        """`repeated`: what the server says again. `blank`: the white space that was not sent."""
        self._known = repeated + blank
        self._repeated = len(repeated)
        self._seen = 0
        self.begun = False
        """Whether something new was said: all that follows is new too."""

    def feed(self, pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
        """Return what is new in the next pieces."""
        new: list[Piece] = []
        for piece in pieces:
            if isinstance(piece, Reasoning) and not self.begun:
                raise _lost("The model's server did not go on from the text so far.")
            if isinstance(piece, Text) and not piece.refusal and not self.begun:
                if text := self._new(piece.text):
                    new.append(replace(piece, text=text))
            else:
                new += (*self.end(), piece)
        return tuple(new)

    def end(self) -> tuple[Piece, ...]:
        """Return what was held back as a possible repetition and is none, since the text ends."""
        short = not self.begun and self._seen < self._repeated
        self.begun = True
        return (Text(self._known[: self._seen]),) if short and self._seen else ()

    def _new(self, text: str) -> str:
        """Return what is new in the next piece of text, before anything was."""
        before = self._seen
        known = self._known[before : before + len(text)]
        self._seen += len(text) if text == known else _common(text, known)
        if text == known and self._seen < len(self._known):
            return ""
        self.begun = True
        if self._seen >= self._repeated:
            return text[self._seen - before :]
        said = self._known[:before] + text  # not repeated after all
        return said[_common(said, self._known[self._repeated :]) :]


def _common(text: str, other: str) -> int:
    """Return with how many equal characters two texts begin."""
    return sum(1 for _ in takewhile(lambda pair: eq(*pair), zip(text, other, strict=False)))


def _lost(message: str) -> ContinuationLost:
    return ContinuationLost("continuation_lost", message)
