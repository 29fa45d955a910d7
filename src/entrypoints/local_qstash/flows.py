"""Flow-control keys: the limits that are pinned for them, pauses, and what is under way and waits.
What is set outlives the process; a key that nothing is set for is known while messages use it, and
for a short time afterwards."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

from entrypoints.local_qstash.line import Line
from entrypoints.local_qstash.names import NO_KEY, checked_key
from entrypoints.local_qstash.records import Records
from entrypoints.local_qstash.slots import Slots
from entrypoints.local_qstash.turns import flow_line

KIND = "flow-control keys"


class Flows:
    def __init__(self, records: Records, slots: Slots) -> None:
        self._records = records
        self._slots = slots
        self._changing = asyncio.Lock()
        for key, kept in records.of(KIND).items():
            with slots.changed(flow_line(key)) as line:
                if kept.get("paused"):
                    line.pause()
                line.pin(kept.get("parallelism"), _rate(kept))

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the key as `GET /v2/flowControl/{flowControlKey}` shows it."""
        line = self._slots.get(NO_KEY if key == NO_KEY else flow_line(key))
        return None if line is None else _shown(key, line)

    def all(self) -> list[dict[str, Any]]:
        """NO_KEY is there if messages without a key wait because of the parallelism of all."""
        prefix = flow_line("")
        keys = [
            name.removeprefix(prefix) for name in self._slots.names() if name.startswith(prefix)
        ]
        line = self._slots.get(NO_KEY)
        keys += [] if line is None or not line.waiting else [NO_KEY]
        return [flow for key in keys if (flow := self.get(key)) is not None]

    def parallelism(self) -> dict[str, int]:
        """Return how many deliveries there may be at the same time, and how many there are."""
        room = self._slots.room
        return {"parallelismMax": room.limit, "parallelismCount": room.held}

    async def pause(self, key: str) -> None:
        """Raises BadMessage, TooMany or Unavailable, as the other changes do."""
        await self._change(key, Line.pause, paused=True)

    async def resume(self, key: str) -> None:
        await self._change(key, Line.resume, paused=None)

    async def pin(self, key: str, parallelism: int | None, rate: tuple[int, int] | None) -> None:
        """Pin a parallelism, a rate with its period in seconds, or both."""
        pinned: dict[str, int] = {} if parallelism is None else {"parallelism": parallelism}
        pinned |= {} if rate is None else {"rate": rate[0], "period": rate[1]}
        await self._change(key, lambda line: line.pin(parallelism, rate), **pinned)
        await self._slots.note_period(flow_line(key))

    async def unpin(self, key: str, *, parallelism: bool, rate: bool) -> None:
        names = ["parallelism"] * parallelism + ["rate", "period"] * rate
        await self._change(
            key,
            lambda line: line.unpin(parallelism=parallelism, rate=rate),
            **dict.fromkeys(names),
        )

    async def reset(self, key: str) -> None:
        """End the period of the rate and begin one now."""
        checked_key(key)
        with self._slots.changed(flow_line(key)) as line:
            line.reset()
        await self._slots.note_period(flow_line(key))

    async def _change(
        self, key: str, change: Callable[[Line], None], **changes: int | None
    ) -> None:
        """Keep what is set for a key, then change its line. None removes what is set."""
        checked_key(key)
        async with self._changing:
            value = {**self._records.of(KIND).get(key, {}), **changes}
            value = {name: each for name, each in value.items() if each is not None}
            if value:
                await self._records.put(KIND, key, value)
            else:
                await self._records.drop(KIND, key)
            with self._slots.changed(flow_line(key)) as line:
                change(line)


def _rate(kept: dict[str, Any]) -> tuple[int, float] | None:
    return (kept["rate"], kept["period"]) if "rate" in kept else None


def _shown(key: str, line: Line) -> dict[str, Any]:
    # The descriptions of the SDKs have all of these. A limit that there is none of is 0.
    limits = line.limits
    rated = limits.rate is not None
    return {
        "flowControlKey": key,
        "waitListSize": line.waiting,
        "parallelismMax": limits.parallelism or 0,
        "parallelismCount": line.held,
        "rateMax": limits.rate or 0,
        "rateCount": line.begun if rated else 0,
        "ratePeriod": math.ceil(limits.period) if rated else 0,
        "ratePeriodStart": max(0, int(line.ends_at / 1000 - limits.period)) if rated else 0,
        "isPaused": line.paused,
        "isPinnedParallelism": line.pinned_parallelism,
        "isPinnedRate": line.pinned_rate,
    }
