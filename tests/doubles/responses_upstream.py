"""A real local HTTP server with OpenAI's Responses API in background mode, with faults.

It makes its answers with or without listeners, and counts what it was asked for. An answer is
a list of events (`answer_events`) and of what the server waits for between them.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.doubles.upstream import Gate, Received, Script, Upstream, refusal

Event = dict[str, Any]
Step = Event | Gate | float
"""An event, without its number; a gate to wait at; or seconds to pause."""

USAGE = {
    "input_tokens": 3,
    "input_tokens_details": {"cached_tokens": 1},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 8,
}
_PATH = re.compile(r"/v1/responses/([^/]+)(/cancel)?")


def delta(text: str, kind: str = "output_text", index: int = 0) -> Event:
    """The next piece of a text: output_text, refusal, reasoning_text, reasoning_summary_text."""
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": text}


def item_event(item: Mapping[str, Any], index: int = 0, *, done: bool = False) -> Event:
    kind = f"response.output_item.{'done' if done else 'added'}"
    return {"type": kind, "output_index": index, "item": dict(item)}


def message_item(*parts: Mapping[str, Any] | str, status: str = "completed") -> dict[str, Any]:
    content = [
        {"type": "output_text", "text": each} if isinstance(each, str) else dict(each)
        for each in parts
    ]
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def call_item(call_id: str, name: str, arguments: str = "") -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"fc_{call_id}",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": "completed",
    }


def end_event(
    output: Sequence[Mapping[str, Any]], status: str = "completed", **fields: Any
) -> Event:
    """The last event, with the whole answer."""
    kind = "failed" if status == "cancelled" else status
    response = {"status": status, "output": list(output), "model": "test-model", "usage": USAGE}
    return {"type": f"response.{kind}", "response": {**response, **fields}}


def answer_events(*texts: str, gates: Mapping[int, Gate] | None = None) -> list[Step]:
    """A whole answer of these pieces. `gates`: by the number of pieces before them."""
    steps: list[Step] = [item_event(message_item(status="in_progress"))]
    for index, each in enumerate(texts):
        if gates and index in gates:
            steps.append(gates[index])
        steps.append(delta(each))
    if gates and len(texts) in gates:
        steps.append(gates[len(texts)])
    whole = message_item("".join(texts))
    return [*steps, item_event(whole, done=True), end_event([whole])]


@dataclass
class KeptResponse:
    """An answer that the server makes."""

    id: str
    events: list[Event] = field(default_factory=list)
    stored: bool = True
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: Event | None = None
    """The last event."""

    def tell(self, event: Event) -> None:
        told = {"sequence_number": len(self.events), **event}
        if "response" in event or event["type"] in ("response.created", "response.in_progress"):
            told["response"] = {"id": self.id, "object": "response", **event.get("response", {})}
            status = told["response"].setdefault("status", "in_progress")
            self.ended = told if status not in ("queued", "in_progress") else None
        self.events.append(told)
        self.changed.set()
        self.changed = asyncio.Event()

    def now(self) -> dict[str, Any]:
        running = {"id": self.id, "object": "response", "status": "in_progress", "output": []}
        return running if self.ended is None else dict(self.ended["response"])


@dataclass
class Followed(Script):
    """The stream of a response, from an event on."""

    response: KeptResponse | None = None
    after: int = -1
    breaks_after: int | None = None
    """Events of this connection after which it breaks."""


class ResponsesUpstream(Upstream):
    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        """As at the beginning, for the next test that shares it."""
        self.reset()
        self.answers: deque[Iterable[Step]] = deque()
        """What the next creates make. Without one: `usual`."""
        self.usual: Iterable[Step] = answer_events("Hello", ", ", "world", ".")
        self.responses: dict[str, KeptResponse] = {}
        self.keys: dict[str, str] = {}
        self.honours_keys = True
        self.keeps = True
        """Whether responses can be asked for again at all."""
        self.streams_kept = True
        """Whether GET streams. Otherwise 400, as OpenAI responds after five minutes."""
        self.breaks: deque[int] = deque()
        """Of the next streams: the events after which the connection breaks."""
        self.cancelled: list[str] = []
        self.deleted: list[str] = []
        self._making: set[asyncio.Task[None]] = set()

    def answer(self, *steps: Step) -> None:
        """What the next create makes."""
        self.answers.append(steps)

    def forget(self) -> None:
        """Lose all responses."""
        self.responses.clear()

    @property
    def asked(self) -> int:
        """How many answers were begun: what was paid for."""
        return len(self.responses) + len(self.deleted)

    def script_for(self, received: Received) -> Script:
        if self.scripts:
            return self.scripts.popleft()
        url = urlsplit(received.path)
        if url.path == "/v1/responses":
            return self._create(received)
        if url.path == "/v1/models":
            return json_of({"object": "list", "data": [{"id": "test-model"}]})
        found = _PATH.fullmatch(url.path)
        response = self.responses.get(found[1]) if found else None
        if found is None or response is None or not (response.stored and self.keeps):
            return refusal(404, "not_found", "Response not found.")
        if received.method == "DELETE":
            self.deleted.append(response.id)
            del self.responses[response.id]
            return json_of({"id": response.id, "object": "response", "deleted": True})
        if found[2]:
            self.cancelled.append(response.id)
            if response.ended is None:
                response.tell(end_event([], "cancelled"))
            return json_of(response.now())
        query = parse_qs(url.query)
        if query.get("stream") != ["true"]:
            return json_of(response.now())
        if not self.streams_kept:
            return refusal(400, None, "This response can no longer be streamed.")
        after = int(query.get("starting_after", ["-1"])[0])
        return self._follow(response, after)

    def _create(self, received: Received) -> Script:
        key = received.headers.get("idempotency-key")
        known = self.keys.get(key) if key and self.honours_keys else None
        response = self.responses.get(known) if known else None
        if response is None:
            response = KeptResponse(f"resp_{len(self.received)}")
            response.stored = bool(received.body.get("store"))
            self.responses[response.id] = response
            if key:
                self.keys[key] = response.id
            steps = self.answers.popleft() if self.answers else self.usual
            making = asyncio.get_running_loop().create_task(_make(response, steps))
            self._making.add(making)
            making.add_done_callback(self._making.discard)
        if not received.body.get("stream"):
            return json_of(response.now())
        return self._follow(response, -1)

    def _follow(self, response: KeptResponse, after: int) -> Followed:
        breaks = self.breaks.popleft() if self.breaks else None
        return Followed(response=response, after=after, breaks_after=breaks)

    async def _answer(self, script: Script, writer: asyncio.StreamWriter) -> None:
        if not isinstance(script, Followed) or script.response is None:
            await super()._answer(script, writer)
            return
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        )
        told, response = 0, script.response
        while True:
            changed = response.changed
            for each in list(_behind(response.events, script.after)):
                if told == script.breaks_after:
                    writer.transport.abort()
                    return
                script.after = each["sequence_number"]
                data = frame(each)
                writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                told += 1
            await writer.drain()
            if told == script.breaks_after:
                writer.transport.abort()
                return
            if response.ended is not None:
                break
            await changed.wait()
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def frame(event: Event) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), json.dumps(event).encode())


def json_of(value: Mapping[str, Any]) -> Script:
    return Script([json.dumps(value).encode()], headers={"content-type": "application/json"})


def _behind(events: Sequence[Event], after: int) -> Iterator[Event]:
    return (each for each in events if each["sequence_number"] > after)


async def _make(response: KeptResponse, steps: Iterable[Step]) -> None:
    response.tell({"type": "response.created"})
    response.tell({"type": "response.in_progress"})
    for step in steps:
        if isinstance(step, Gate):
            await step.wait()
        elif isinstance(step, float):
            await asyncio.sleep(step)
        elif response.ended is None:  # it may be cancelled meanwhile
            response.tell(step)
