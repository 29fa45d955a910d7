"""What an attempt has said, for the events that close its items with their whole text."""

from io import StringIO
from typing import Self


class Said:
    """Grows by the pieces of one attempt. All folds of a task's log share it, each up to a length
    of its own: a fold that is behind the others adds what is there already, and nothing happens."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts = StringIO()
        self._size = 0

    def add(self, size: int, piece: str) -> int:
        """Add the piece that follows the first `size` characters. Return the size with it."""
        if size == self._size:
            self._parts.write(piece)
            self._size += len(piece)
        return size + len(piece)

    def cut(self, begin: int, end: int) -> str:
        """Return the characters from `begin` to before `end`."""
        self._parts.seek(begin)
        text = self._parts.read(end - begin)
        self._parts.seek(0, 2)
        return text

    def copy(self, size: int) -> Self:
        """Return another one that has said the same up to a size: the log lost what follows it."""
        other = type(self)()
        other.add(0, self.cut(0, size))
        return other
