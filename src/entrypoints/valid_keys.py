"""The API keys that are valid now: those of LONGTASK_API_KEYS, and those of a file that is watched.

Whether keys are required never changes while the process runs. With a file they always are, also
while it holds none: a service whose file was emptied refuses every caller.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from entrypoints.api_keys import ApiKey, name_of
from entrypoints.keys_file import KeysFile, read_keys_file

PAUSE = 1.0
"""Seconds between two looks at the file. A change counts after two to three of them."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of the file has led to."""

    fault: str | None = None
    """Why it was not taken: one sentence. The keys that were valid before stay so."""
    count: int = 0
    """The keys that are valid now."""
    added: Sequence[str] = ()
    """The names of keys that became valid."""
    withdrawn: Sequence[str] = ()
    """The names of keys that are valid no more."""
    gone: Sequence[str] = ()
    """The names that have no key any more."""


class ValidKeys:
    def __init__(
        self, fixed: Sequence[ApiKey], file: KeysFile | None, *, plain_allowed: bool = False
    ) -> None:
        """`fixed`: those that stay valid. `file`: the file with further ones, as it was last read.
        `plain_allowed`: whether it may hold keys themselves."""
        self.required = bool(fixed) or file is not None
        self._fixed = tuple(fixed)
        self._file = file
        self._plain_allowed = plain_allowed
        self._fault: str | None = None
        self._seen: object = None
        self._read = False
        self._join()

    @property
    def file(self) -> KeysFile | None:
        """The file, as it was when it was last good."""
        return self._file

    def name_of(self, given: str) -> str | None:
        """Return the name of the key that was given, or None if it is not valid."""
        return name_of(given, self._keys)

    def look(self) -> KeysFile | None:
        """Read the file if it has changed since the last look but one, and not since the last: then
        it is not being written. To be called once in PAUSE, in any thread: the disk may be slow."""
        assert self._file is not None  # noqa: S101
        state = _state_of(self._file.path)
        if state != self._seen:
            self._seen, self._read = state, False
        elif not self._read:
            self._read = True
            return read_keys_file(self._file.path)
        return None

    def take(self, found: KeysFile) -> Change | None:
        """Make the keys of the file the valid ones, unless something is wrong with it. Returns
        what there is to tell."""
        before = self._keys
        fault = found.wrong(plain_allowed=self._plain_allowed)
        if fault is None and found.blank and self._file and self._file.keys:
            fault = f"{found.path} is empty: to withdraw all keys, leave a comment in it"
        known, self._fault = self._fault, fault
        if fault is not None:
            return Change(fault) if fault != known else None
        self._file = found
        names = self.names
        self._join()
        if known is None and set(before) == set(self._keys):
            return None
        return Change(
            count=len(self._keys),
            added=_names_of(set(self._keys).difference(before)),
            withdrawn=_names_of(set(before).difference(self._keys)),
            gone=tuple(sorted(names - self.names)),
        )

    def _join(self) -> None:
        self._keys = (*self._fixed, *(self._file.keys if self._file else ()))
        self.names = frozenset(key.name for key in self._keys)
        """Those that have a valid key."""


async def watch(keys: ValidKeys, on_change: Callable[[Change], None]) -> None:
    """Watch the file, if there is one, for as long as the process runs."""
    while keys.file is not None:
        await asyncio.sleep(PAUSE)
        found = await asyncio.to_thread(keys.look)
        if found is not None and (change := keys.take(found)) is not None:
            on_change(change)


def _state_of(path: Path) -> object:
    """Something that differs once the file was written, replaced, or put behind another link."""
    try:
        state = path.stat()
    except OSError as error:
        return error.errno
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _names_of(keys: set[ApiKey]) -> tuple[str, ...]:
    return tuple(sorted({key.name for key in keys}))
