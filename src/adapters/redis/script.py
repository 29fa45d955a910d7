"""The scripts in scripts/*.lua, each one atomic step."""

import hashlib
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

from adapters.event_codec import VERSION
from adapters.redis.connection import Connection, Word
from adapters.redis.errors import UnknownScript


class Script:
    """A script, called by its hash, and sent whole where the server does not know it."""

    def __init__(
        self, connection: Connection, name: str, *, long: bool = False, behind: str = ""
    ) -> None:
        """`long`: whether its response may be. `behind`: what stands before it, beside
        shared.lua."""
        folder = files("adapters.redis").joinpath("scripts")
        names = [each for each in ("shared", behind, name) if each]
        parts = [folder.joinpath(f"{each}.lua").read_text() for each in names]
        constants = f"local PUBLISH, VERSION = '{connection.publish}', '{VERSION}'"
        self._source = "\n".join([constants, *parts])
        self._hash = hashlib.sha1(self._source.encode(), usedforsecurity=False).hexdigest()
        self._call = connection.call if long else connection.call_batched

    async def __call__(self, keys: Iterable[str], args: Iterable[Word] = ()) -> Any:
        named = list(keys)
        words = (len(named), *named, *args)
        try:
            return await self._call("EVALSHA", self._hash, *words)
        except UnknownScript:
            return await self._call("EVAL", self._source, *words)
