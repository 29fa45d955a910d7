"""The frames of a response's stream, and their numbers.

A frame is an `event:` line and one `data:` line of JSON. There is no `id:` line: with a comment
after it, openai-python takes a block of its own for an event without data.

Their `sequence_number` is 256 times their place in the stream, plus a byte that is made of the
epoch of the log. So a number that the log no longer has is noticed, in 254 of 255 cases, and 32
bits hold the numbers of 8 million events.
"""

import zlib
from functools import lru_cache
from typing import Any

from entrypoints.http.openai.response_state import ResponseState
from entrypoints.http.sse.frame_json import frame_json

_RULES = b"1"
"""The version of the rules by which a log becomes a stream. It is part of the byte: numbers of
other rules are not recognized."""
_BYTES = 255
"""Values of the byte. One above it is the number of an event that tells of a lost attempt."""


class FrameWriter:
    """Counts the events of a stream, and encodes their frames unless nothing wants them."""

    __slots__ = ("_byte", "_fold", "_frames")

    def __init__(self, fold: ResponseState, frames: list[bytes] | None, epoch: str) -> None:
        """`epoch`: that of the events of the log which are told."""
        self._fold = fold
        self._frames = frames
        self._byte = byte_of(epoch)

    def write(self, kind: str, **fields: Any) -> None:
        if self._frames is not None:
            self._write(self._frames, kind, 256 * self._fold.count + self._byte, fields)
        self._fold.count += 1

    def write_loss(self, **fields: Any) -> None:
        """Write a last event which the stream of another client does not have. Its number follows
        the one before, so that a client which resumes behind it misses nothing."""
        if self._frames is not None:
            number = 256 * (self._fold.count - 1) + self._byte + 1
            self._write(self._frames, "response.failed", number, fields)
        self._fold.over = True

    def delta(self, head: "DeltaHead", text: str) -> None:
        """Write the next piece of a text."""
        if self._frames is not None:
            before, behind = head
            number = 256 * self._fold.count + self._byte
            self._frames.append(b"%b%b%b%d}\n\n" % (before, frame_json(text), behind, number))
        self._fold.count += 1

    @staticmethod
    def _write(frames: list[bytes], kind: str, number: int, fields: dict[str, Any]) -> None:
        data = frame_json({"type": kind, "sequence_number": number, **fields})
        frames.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))


def place_of(number: int) -> int:
    """Return the place in its stream of the event that has a number, or is told before it."""
    return number >> 8


def is_number_of(number: int, epoch: str) -> bool:
    """Whether an event of this epoch may have this number."""
    return (number & 0xFF) - byte_of(epoch) in (0, 1)


@lru_cache(maxsize=1024)
def byte_of(epoch: str) -> int:
    return zlib.crc32(_RULES + epoch.encode()) % _BYTES


DeltaHead = tuple[bytes, bytes]
"""What stands before and behind the text of a delta. Most deltas of an answer have the same."""


@lru_cache(maxsize=4096)
def delta_head(kind: str, item_id: str, output_index: int, part: str) -> DeltaHead:
    """`part`: the name and the number of the part of the item, as JSON, with a comma behind."""
    logprobs = ',"logprobs":[]' if kind == "response.output_text.delta" else ""
    head = (
        f'event: {kind}\ndata: {{"type":"{kind}","item_id":"{item_id}",'
        f'"output_index":{output_index},{part}"delta":'
    )
    return head.encode(), f'{logprobs},"sequence_number":'.encode()
