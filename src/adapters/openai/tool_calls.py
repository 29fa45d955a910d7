"""Tell the calls of tools in a stream apart. No I/O.

OpenAI's deltas name a call by its `index`, and give its id and name in the first of them. Other
servers leave the index out (Gemini), count every call as 0 (older vLLM and SGLang), repeat id and
name in each delta, or make up a new id for each.
"""

from dataclasses import dataclass

from adapters.openai.errors import unreadable
from adapters.openai.pieces import Pieces

INDEX_LIMIT = 10_000
"""A larger index counts as none."""
NAME_LIMIT = 1_000
"""Characters of the name of a tool. A longer one makes the answer unreadable."""


@dataclass(slots=True)
class _Call:
    index: int
    """The index that we give it."""
    id: str
    name: str = ""
    finished: bool = True
    """Whether the arguments so far may be whole: they end as an object does, or have not begun."""
    renamed: bool = False
    """Whether the server makes up a new id for each delta of the call."""


class ToolCalls:
    """The calls of one answer so far."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._last: _Call | None = None
        self._legacy = False
        self._by_index: dict[int, _Call] = {}
        """The last call of each index: that of the server, or ours if it gives none."""
        self._by_id: dict[tuple[int | None, str], _Call] = {}
        self._taken: set[int] = set()
        self._next = 0
        """Above all that are taken."""

    def add(
        self, index: int | None, call_id: str, name: str, arguments: str, *, odd: bool = False
    ) -> None:
        """Add a delta. `index`: None if the server gives none. `odd`: whether the arguments may
        have surrogates."""
        if index is not None and not 0 <= index <= INDEX_LIMIT:
            index = None
        call = self._find(index, call_id, name)
        if call is None:
            call = self._open(index, call_id)
        elif call_id and not call.id:
            self._identify(call, index, call_id)
        self._last = self._by_index[call.index if index is None else index] = call
        if name and name != call.name:  # else it is repeated
            call.name += name
            if len(call.name) > NAME_LIMIT:
                raise unreadable()
            self._pieces.name_call(call.index, name)
        if arguments:
            call.finished = arguments.rstrip()[-1:] in ("}", "")
            if odd:
                self._pieces.say_odd(call.index, arguments)
            else:
                self._pieces.say(call.index, arguments)

    def add_legacy(self, name: str, arguments: str) -> None:
        """Add a delta in the form that OpenAI has replaced by calls, unless there are calls too."""
        if self._last is None or self._legacy:
            self._legacy = True
            self.add(0, "", name, arguments, odd=True)

    def _find(self, index: int | None, call_id: str, name: str) -> _Call | None:
        """Return the call that a delta goes on with, or None if it begins one."""
        current = self._last if index is None else self._by_index.get(index)
        if current is None:
            return None
        if call_id and call_id != current.id:
            known = self._by_id.get((index, call_id))
            if known is not None:
                return known
            other = bool(current.id) or index is None
        else:
            other = index is None and not call_id
        if not other or not name:
            return current
        if name == current.name and (current.renamed or not current.finished):
            current.renamed = True
            return current
        return None

    def _open(self, index: int | None, call_id: str) -> _Call:
        ours = self._next if index is None or index in self._taken else index
        call = _Call(ours, "")
        self._taken.add(ours)
        self._next = max(self._next, ours + 1)
        if call_id:
            self._identify(call, index, call_id)
        self._pieces.begin_call(ours, call_id)
        return call

    def _identify(self, call: _Call, index: int | None, call_id: str) -> None:
        call.id = call_id
        self._by_id[index, call_id] = call
