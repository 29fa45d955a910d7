"""Streams in the form of another protocol: an event log, projected step by step.

A projection turns each batch of a log into frames by a state, which follows from the log before it.
Readers of one task that are equally far share the state and the frames: a step is made once per
process, and each reader costs a comparison and a write.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from application.ports import Batch
from application.reader import Reader, Sink
from domain.position import Position
from entrypoints.http.protocol.direct_write import DirectWriter
from entrypoints.http.sse.encoder import PING


class State(Protocol):
    """Never changed once it is returned."""

    @property
    def position(self) -> Position:
        """The position in the log behind the last event that it follows from."""
        ...

    @property
    def over(self) -> bool:
        """Whether the stream ends here, though the log may go on."""
        ...


S = TypeVar("S", bound=State)


class Projection(Protocol[S]):
    @property
    def key(self) -> Hashable:
        """Equal for projections that return the same frames for states of the same position."""
        ...

    def begin(self) -> S:
        """Return the state before the first event."""
        ...

    def fold(self, before: S, batch: Batch, frames: list[bytes]) -> S:
        """Return the state after a batch that follows `before`, and add its frames, maybe none, to
        `frames`."""
        ...


class Steps:
    """The steps that were made of batches which a reader still holds."""

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[Batch, dict[Hashable, Any]] = WeakKeyDictionary()
        # The last one: all readers of a task ask for it, one after the other.
        self._batch: Batch | None = None
        self._before: State | None = None
        self._step: Any = None

    def step(self, projection: Projection[S], before: S, batch: Batch) -> tuple[bytes, S]:
        """Return the frames of a batch that follows `before`, and the state after it."""
        if batch is not self._batch or before is not self._before:
            made = self._made.setdefault(batch, {})
            if (step := made.get(projection.key)) is None:
                frames: list[bytes] = []
                after = projection.fold(before, batch, frames)
                step = made[projection.key] = b"".join(frames), after
            self._batch, self._before, self._step = batch, before, step
        step_: tuple[bytes, S] = self._step
        return step_


class ProjectedConnection(Sink, Generic[S]):
    """The connection of one client."""

    __slots__ = ("_on_end", "_projection", "_reader", "_state", "_steps", "_writer")

    def __init__(
        self,
        projection: Projection[S],
        state: S,
        steps: Steps,
        reader: Reader,
        writer: DirectWriter,
        on_end: Callable[[], None],
    ) -> None:
        """`state`: that of the reader's position."""
        self._projection = projection
        self._state = state
        self._steps = steps
        self._reader = reader
        self._writer = writer
        self._on_end = on_end

    def write(self, batch: Batch) -> bool:
        if batch.after != self._state.position:
            return self._break_off()
        frames, after = self._steps.step(self._projection, self._state, batch)
        return self._write(frames, after)

    def write_all(self, batches: Sequence[Batch]) -> bool:
        state, written = self._state, list[bytes]()
        for batch in batches:
            if batch.after != state.position:
                return self._break_off()
            frames, state = self._steps.step(self._projection, state, batch)
            written.append(frames)
            if state.over:
                break
        return self._write(b"".join(written), state)

    def _write(self, frames: bytes, after: S) -> bool:
        if frames and not self._writer.push(frames):
            return False
        self._state = after
        if after.over:
            self._reader.close(complete=True)
        return True

    def _break_off(self) -> bool:
        """The log lost what this client has seen. It finds out when it connects again."""
        self._reader.close()
        return True

    async def writable(self) -> None:
        await self._writer.drain()

    def ping(self) -> None:
        self._writer.push(PING)

    def end(self, *, complete: bool) -> None:
        """A body that ended without its last event would count as a whole answer: such a connection
        is broken off instead."""
        if complete:
            self._writer.finish()
        else:
            self._writer.cut()
        self._on_end()
