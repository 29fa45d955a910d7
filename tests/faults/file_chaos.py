"""What is done to the embedded default beside what is done to any deployment."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from tests.faults.chaos import Chaos
from tests.faults.clients import User
from tests.faults.file_world import FileWorld
from tests.faults.programs import Program
from tests.faults.response_clients import ResponseFollower
from tests.faults.world import ORPHAN_TIMEOUT
from tests.waiting import within

TRANSITIONS = ("status", "end", "error")
"""Events that are flushed to the disk before they are given to readers."""
MOSTLY = 0.8


class FileChaos(Chaos):
    world: FileWorld

    def __init__(self, world: FileWorld, users: list[User], *, losing: bool, sleepy: bool) -> None:
        """`losing`: the file may lose its end, by being put back to a crash image. `sleepy`: the
        machine may sleep for longer than the orphan timeout, once."""
        super().__init__(world, users)
        self.kinds |= {
            "disk full": (3, self._fill_disk),
            "file read-only": (2, self._make_read_only),
            "crash image": (3, self._take_image),
        }
        if losing:
            self.kinds["crash image restored"] = (2, self._restore_image)
            self.kinds["power cut"] = (2, self._cut_power)
        if sleepy:
            self.kinds["machine slept"] = (1, self._sleep)

    async def reign(self, seconds: float) -> None:
        supervising = asyncio.create_task(self._supervise())
        try:
            await super().reign(seconds)
        finally:
            supervising.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await supervising

    async def restart(self, instance: Program, most: float) -> None:
        """The only instance would never get anything done if it were not let start mostly."""
        await super().restart(instance, most)
        if self.rng.random() < MOSTLY:
            until = time.monotonic() + within(10.0)
            while instance.alive and time.monotonic() < until:
                if await asyncio.to_thread(instance.answers, "/healthz"):
                    return
                await asyncio.sleep(0.1)

    async def _supervise(self) -> None:
        """Start the service again when it has ended by itself, which it may if it cannot open the
        file."""
        world = self.world

        async def look() -> None:
            if (status := world.instance.exited()) is not None:
                if status != 1 or world.disk.hindered_until < world.instance.started:
                    self.faults.append(f"the service ended by itself with {status}")
                world.instance.start()

        while True:
            await asyncio.sleep(0.2)
            await self.alone_with(world.instance, look)

    async def _fill_disk(self) -> bool:
        world = self.world

        async def deed() -> None:
            if (pid := world.instance.pid) is None:
                return
            await asyncio.to_thread(world.disk.fill, pid, world.instance.log)
            await self.pause(0.3, 3.0)
            world.disk.free(world.instance.pid)

        return await self.alone_with(world.disk, deed)

    async def _make_read_only(self) -> bool:
        disk = self.world.disk

        async def deed() -> None:
            if disk.make_read_only():
                await self.pause(0.3, 3.0)
                disk.make_writable()
            else:
                self.kinds.pop("file read-only", None)

        return await self.alone_with(disk, deed)

    async def _take_image(self) -> bool:
        """What readers were given must be in it: an append is in the system's cache before it is
        published."""
        world = self.world

        async def deed() -> None:
            if world.instance.pid is None:
                return
            world.instance.freeze()
            accepted, given = self._accepted(), self._given()
            await asyncio.to_thread(world.take_image)
            world.instance.thaw()
            await self._examine(accepted, given)

        return await self.alone_with(world.instance, deed)

    async def _cut_power(self) -> bool:
        """Tasks, their transitions and messages must be there after it. Pieces of answers may be
        lost. A service that is still starting has nothing to lose."""
        world, possible = self.world, False

        async def deed() -> None:
            nonlocal possible
            if not await asyncio.to_thread(world.instance.answers, "/healthz"):
                return
            world.instance.freeze()
            accepted, given = self._accepted(), self._given(*TRANSITIONS)
            possible = await asyncio.to_thread(world.take_image_after_power_cut)
            await asyncio.to_thread(world.instance.kill)
            if possible:
                await self._examine(accepted, given)
                await asyncio.to_thread(world.restore_image)
            else:
                self.kinds.pop("power cut", None)
            await self.restart(world.instance, 1.0)

        return await self._alone_with_both(deed) and possible

    async def _examine(self, accepted: set[str], given: set[tuple[str, str]]) -> None:
        """Compare the image with what was accepted, and what was given, before it was taken."""
        world = self.world
        image = await asyncio.to_thread(world.examine_image)
        self.faults += image.faults
        accepted -= world.ended_before_loss | world.deleted
        for task_id in accepted - image.tasks:
            self.faults.append(f"{task_id} was accepted, and an image does not have it")
        for task_id in accepted & image.unfinished - image.queued - world.given_up:
            self.faults.append(f"{task_id} was accepted, and an image's queue does not have it")
        for task_id, event_id in given - image.events - world.lost_events:
            if task_id not in world.deleted:
                self.faults.append(f"{task_id}: {event_id} was read, and an image does not have it")

    def _accepted(self) -> set[str]:
        return {user.task_id for user in self.users if user.task_id}

    def _given(self, *types: str) -> set[tuple[str, str]]:
        """Task and id of all events (of these types) that readers have."""
        return {
            (user.task_id, event_id)
            for user in self.users
            for follower in user.followers
            if not isinstance(follower, ResponseFollower)
            for event_id, data in follower.events
            if not types or data["type"] in types
        }

    async def _restore_image(self) -> bool:
        world, restored = self.world, False

        async def deed() -> None:
            nonlocal restored
            if not await asyncio.to_thread(world.instance.answers, "/healthz"):
                return
            await asyncio.to_thread(world.instance.kill)
            restored = await asyncio.to_thread(world.restore_image)
            await self.restart(world.instance, 1.0)

        return await self._alone_with_both(deed) and restored

    async def _sleep(self) -> bool:
        instance = self.world.instance

        async def deed() -> None:
            self.kinds.pop("machine slept", None)
            instance.freeze()
            await asyncio.sleep(ORPHAN_TIMEOUT + 3.0)
            instance.thaw()

        return await self.alone_with(instance, deed)

    async def _alone_with_both(self, deed: Callable[[], Awaitable[None]]) -> bool:
        """The service and its disk."""

        async def with_disk() -> None:
            await self.alone_with(self.world.disk, deed)

        return await self.alone_with(self.world.instance, with_disk)
