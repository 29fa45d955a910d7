"""AnswerChecker on JSON Schema, in check processes.

A process is started when a check needs one, answers one check at a time, and is kept for the next.
It is killed if a check takes too long. So a hostile schema costs a process, and holds up neither
the event loop nor other tasks. A check of a usual answer takes less than a millisecond, the first
one of a process 0.1 s more. A process needs about 20 MiB.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import structlog

from adapters.json_schema.process import TOO_LONG, CheckProcess, Unchecked
from application.ports import AnswerChecker

log = structlog.get_logger(__name__)

SCHEMA_LIMIT = 256 * 1024
"""Bytes of a schema. OpenAI takes schemas of up to 5,000 properties."""
TEXT_LIMIT = 2_000_000
"""Characters of a text."""
PROCESSES = 2
"""Checks at the same time, for each process of the service."""
CPU_LIMIT = 2.0
"""Seconds of a processor that one check may take. (On Windows only TIME_LIMIT bounds it.)"""
TIME_LIMIT = 5.0
"""Seconds to start a process, and seconds of one check, where other work keeps the processors busy.
"""
WAIT = 3.0
"""Seconds to wait while PROCESSES checks are under way."""


class JsonSchemaChecker(AnswerChecker):
    """Returns mostly in a millisecond, and at the latest after `wait` and twice `time_limit`: in
    13 s."""

    def __init__(
        self,
        processes: int = PROCESSES,
        cpu_limit: float = CPU_LIMIT,
        time_limit: float = TIME_LIMIT,
        wait: float = WAIT,
    ) -> None:
        """The constants above describe the parameters. No process is started yet."""
        self._cpu_limit = cpu_limit
        self._time_limit = time_limit
        self._wait = wait
        self._slots = asyncio.Semaphore(processes)
        self._idle: list[CheckProcess] = []
        self._running: set[CheckProcess] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._closed = False

    async def fits(self, response_format: Mapping[str, Any], text: str) -> bool | None:
        if len(text) > TEXT_LIMIT:
            return None
        try:
            schema, encoded = _schema_of(response_format), text.encode()
        except (TypeError, ValueError, OverflowError, RecursionError):
            return None  # no JSON: a lone surrogate, a number of thousands of digits
        if schema is None or len(schema) > SCHEMA_LIMIT:
            return None
        try:
            async with self._slot(), self._process() as process, asyncio.timeout(self._time_limit):
                return await process.ask(schema, encoded)
        except TimeoutError:
            log.warning("answer not checked", reason=TOO_LONG)
        except (Unchecked, OSError) as error:
            if not self._closed:
                log.warning("answer not checked", reason=str(error))
        return None

    async def aclose(self) -> None:
        """End all processes. Checks that are under way, and all later ones, return None."""
        self._closed = True
        for process in list(self._running):
            self._end(process)
        await asyncio.gather(*self._endings)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._wait):
                await self._slots.acquire()
        except TimeoutError:
            raise Unchecked("too many checks are under way") from None
        try:
            yield
        finally:
            self._slots.release()

    @asynccontextmanager
    async def _process(self) -> AsyncIterator[CheckProcess]:
        """A process that is ready. It is ended if the check raises, else kept for the next."""
        process = self._next_idle() or await self._start()
        try:
            yield process
        except BaseException:
            self._end(process)
            raise
        self._idle.append(process)

    def _next_idle(self) -> CheckProcess | None:
        while self._idle:
            process = self._idle.pop()
            if process.running:
                return process
            self._end(process)
        return None

    async def _start(self) -> CheckProcess:
        async with asyncio.timeout(self._time_limit):
            process = await CheckProcess.start(self._cpu_limit)
            self._running.add(process)
            if self._closed:
                process.kill()
            try:
                await process.ready()
            except BaseException:
                self._end(process)
                raise
        return process

    def _end(self, process: CheckProcess) -> None:
        process.kill()
        self._running.discard(process)
        ending = asyncio.create_task(process.ended())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)


def _schema_of(response_format: Mapping[str, Any]) -> bytes | None:
    """Return the schema as JSON. Beside OpenAI's place for it (`json_schema.schema`) there is that
    of llama.cpp and others (`schema`). Raises what `msgspec.json.encode` raises."""
    kind, named = response_format.get("type"), response_format.get("json_schema")
    if kind not in ("json_schema", "json_object"):
        return None
    schema = named.get("schema") if isinstance(named, Mapping) else response_format.get("schema")
    if schema is None and kind == "json_object":
        schema = {"type": "object"}
    return msgspec.json.encode(schema) if isinstance(schema, Mapping | bool) else None
