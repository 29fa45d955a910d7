"""The service under callgrind: how many instructions it executes while something is done with it.

Counting begins after the start of the process, so that this takes seconds and not a minute.
callgrind writes what it has counted to a file each time that it is asked, and begins again at zero.
"""

import asyncio
import contextlib
import re
import tempfile
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from benchmarks.rig import service

SEGMENTS = 5


class Counter:
    """Counts the instructions of a process that runs under callgrind."""

    def __init__(self, pid: int, folder: Path) -> None:
        self._pid = pid
        self._folder = folder
        self._dumps = 0

    async def begin(self) -> None:
        await self._control("--instr=on")

    async def each(self, number: int, work: Callable[[], Awaitable[object]]) -> int:
        """Return the instructions of `work`, which does something `number` times, for each time:
        the least of SEGMENTS runs, after one to warm up. Timers of the service tick meanwhile, the
        more the busier the machine is, and can only add."""
        await work()
        found = []
        for _ in range(SEGMENTS):
            await self._counted()
            await work()
            found.append(await self._counted())
        return round(min(found) / number)

    async def _counted(self) -> int:
        """Return the instructions since the last call."""
        await self._control("--dump")
        self._dumps += 1
        dump = self._folder / f"counted.{self._dumps}"
        total = re.search(r"^totals: (\d+)", dump.read_text(), re.MULTILINE)
        assert total is not None, dump
        dump.unlink()
        return int(total[1])

    async def _control(self, word: str) -> None:
        """Return once callgrind has done it: the tool waits for that."""
        control = await asyncio.create_subprocess_exec(
            "callgrind_control", word, str(self._pid), stdout=PIPE, stderr=STDOUT
        )
        said, _ = await control.communicate()
        assert control.returncode == 0, said.decode()


@contextlib.asynccontextmanager
async def counted_service(upstream_url: str, **settings: str) -> AsyncIterator[tuple[str, Counter]]:
    """Run the service under callgrind. Yield its address, and what counts its instructions. Needs
    valgrind."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counting = ("valgrind", "--tool=callgrind", "--instr-atstart=no")
        out = f"--callgrind-out-file={folder}/counted"
        # A set of texts has the same order in each run. No lease is renewed meanwhile.
        fixed = {"PYTHONHASHSEED": "0", "LONGTASK_LEASE": "600"}
        with service(upstream_url, *counting, out, **fixed, **settings) as (address, pid):
            yield address, Counter(pid, folder)
