"""A strict reader of UI message streams: it builds the message of the page, as `useChat` does, and
refuses each chunk that a version of the AI SDK would refuse, or that could run a tool too early."""

import json
from typing import Any

Chunk = dict[str, Any]
DONE = "data: [DONE]"


def decoded(frames: bytes, *, whole: bool = True) -> list[Chunk]:
    """Return the chunks of a stream. `whole`: it must end with [DONE]."""
    blocks = frames.decode().split("\n\n")
    assert blocks.pop() == ""
    if whole:
        assert blocks.pop() == DONE
    assert all(each.startswith("data: {") and "\n" not in each for each in blocks)
    return [json.loads(each.removeprefix("data: ")) for each in blocks]


class UiMessage:
    """The message of a page, chunk by chunk."""

    def __init__(self) -> None:
        self.id = ""
        self.metadata: dict[str, Any] = {}
        self.parts: list[Chunk] = []
        self.error: str | None = None
        self.finish: Chunk | None = None
        self.ran: list[str] = []
        """Ids of the calls that the page ran."""
        self.call_ids: list[str] = []
        self._open: dict[str, Chunk] = {}
        self._in_step = False
        self._started = False

    def read(self, chunks: list[Chunk]) -> "UiMessage":
        for chunk in chunks:
            assert self.finish is None, "something follows the finish"
            assert self._started == (chunk["type"] != "start"), "one start, and it is the first"
            name = chunk["type"].replace("-", "_")
            getattr(self, f"_{name}")(chunk)
        return self

    @property
    def step(self) -> list[Chunk]:
        """The parts of the last step."""
        step: list[Chunk] = []
        for part in reversed(self.parts):
            if part["type"] == "step-start":
                break
            step.insert(0, part)
        return step

    def text(self, kind: str = "text") -> str:
        """What the last step says."""
        return "".join(part["text"] for part in self.step if part["type"] == kind)

    def calls(self) -> list[Chunk]:
        return [part for part in self.step if part["type"] == "tool"]

    def _start(self, chunk: Chunk) -> None:
        self._started = True
        self.id = chunk["messageId"]
        self.metadata |= chunk["messageMetadata"]

    def _start_step(self, _: Chunk) -> None:
        assert not self._in_step
        self._in_step = True
        self.parts.append({"type": "step-start"})

    def _finish_step(self, _: Chunk) -> None:
        assert self._in_step
        assert not self._open, "versions 5 and 6 forget open parts here"
        self._in_step = False

    def _reset_step(self, _: Chunk) -> None:
        assert self._in_step
        while self.parts[-1]["type"] != "step-start":
            self.parts.pop()
        self._open.clear()

    def _data_reset_step(self, chunk: Chunk) -> None:
        assert isinstance(chunk["data"]["attempt"], int)
        self._reset_step(chunk)

    def _message_metadata(self, chunk: Chunk) -> None:
        self.metadata |= chunk["messageMetadata"]

    def _begin(self, chunk: Chunk, kind: str) -> None:
        assert self._in_step
        assert chunk["id"] not in self._open
        part = {"type": kind, "text": "", **chunk.get("providerMetadata", {})}
        self._open[chunk["id"]] = part
        self.parts.append(part)

    def _text_start(self, chunk: Chunk) -> None:
        self._begin(chunk, "text")

    def _reasoning_start(self, chunk: Chunk) -> None:
        self._begin(chunk, "reasoning")

    def _text_delta(self, chunk: Chunk) -> None:
        part = self._open[chunk["id"]]
        assert chunk["type"] == f"{part['type']}-delta"
        part["text"] += chunk["delta"]

    def _text_end(self, chunk: Chunk) -> None:
        assert chunk["type"] == f"{self._open.pop(chunk['id'])['type']}-end"

    _reasoning_delta, _reasoning_end = _text_delta, _text_end

    def _call(self, chunk: Chunk) -> Chunk:
        found = [part for part in self.calls() if part["id"] == chunk["toolCallId"]]
        assert len(found) == 1
        assert found[0]["dynamic"] == chunk.get("dynamic", found[0]["dynamic"])
        return found[0]

    def _tool_input_start(self, chunk: Chunk) -> None:
        assert self._in_step
        call_id = chunk["toolCallId"]
        assert call_id not in self.call_ids, "the page finds a call by its id alone"
        self.call_ids.append(call_id)
        dynamic = chunk.get("dynamic", False)
        part = {"type": "tool", "id": call_id, "name": chunk["toolName"], "dynamic": dynamic}
        self.parts.append({**part, "state": "input-streaming", "raw": ""})

    def _tool_input_delta(self, chunk: Chunk) -> None:
        assert chunk["inputTextDelta"]
        self._call(chunk)["raw"] += chunk["inputTextDelta"]

    def _tool_input_available(self, chunk: Chunk) -> None:
        self.ran.append(chunk["toolCallId"])
        self._call(chunk).update(state="input-available", input=chunk["input"])

    def _tool_input_error(self, chunk: Chunk) -> None:
        assert chunk["errorText"]
        self._call(chunk).update(state="output-error", input=chunk["input"])

    def _tool_output_available(self, chunk: Chunk) -> None:
        self._call(chunk).update(state="output-available", output=chunk["output"])

    def _tool_output_error(self, chunk: Chunk) -> None:
        self._call(chunk).update(state="output-error", error=chunk["errorText"])

    def _source_url(self, chunk: Chunk) -> None:
        self.parts.append({"type": "source-url", "url": chunk["url"]})

    def _source_document(self, chunk: Chunk) -> None:
        assert chunk["mediaType"]
        self.parts.append({"type": "source-document", "title": chunk["title"]})

    def _data_item(self, chunk: Chunk) -> None:
        assert self._in_step
        self.parts.append({"type": "data-item", "data": chunk["data"]})

    def _file(self, chunk: Chunk) -> None:
        self.parts.append({"type": "file", "url": chunk["url"]})

    def _error(self, chunk: Chunk) -> None:
        assert not self._in_step
        self.error = chunk["errorText"]

    def _abort(self, chunk: Chunk) -> None:
        assert chunk["reason"] == "cancelled"

    def _finish(self, chunk: Chunk) -> None:
        assert not self._in_step
        self.finish = chunk
        self.metadata |= chunk.get("messageMetadata", {})
