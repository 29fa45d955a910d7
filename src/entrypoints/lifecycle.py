"""What begins and ends with the process: background work, the order to stop, connections."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import structlog

from adapters.prometheus import Metrics
from adapters.qstash import SigningKeys
from application.cancellation import end_tasks
from application.meter import Meter
from application.owner_shares import OwnerShares
from application.quotas import STREAM_TTL, Quotas
from application.run_task import RunTask
from entrypoints.http.open_streams import OpenStreams
from entrypoints.http.sse.held_streams import HeldStreams
from entrypoints.valid_keys import Change, ValidKeys, watch

log = structlog.get_logger(__name__)

LAG_PAUSE = 0.25
"""Seconds between two looks at how late the event loop is."""


@runtime_checkable
class Closable(Protocol):
    async def aclose(self) -> None: ...


class Feed(Protocol):
    def close(self) -> None:
        """Deliver nothing more: every subscriber is told so."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    run_task: RunTask
    feed: Feed
    held_streams: HeldStreams
    open_streams: OpenStreams
    valid_keys: ValidKeys
    meter: Meter
    quotas: Quotas
    shares: OwnerShares
    signing_keys: SigningKeys
    metrics: Metrics
    connections: Sequence[object]
    """Those that are Closable are closed in this order. The store comes behind what may still
    write to it, and tracing last, since all others make spans."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work in the background for as long as the context is open, then close the connections."""
        work = (
            self._keep_stream_slots,
            self.shares.keep,
            self._measure_lag,
            self.meter.run,
            self._watch_keys,
            self.signing_keys.learn,
        )
        async with AsyncExitStack() as stack:
            stack.push_async_callback(close_all, self.connections)
            stack.push_async_callback(self.meter.flush)
            working = [asyncio.create_task(each()) for each in work]
            stack.push_async_callback(end_tasks, working)
            yield

    def stop(self) -> None:
        """End what would keep connections open: streams, whose clients go on at another instance,
        and attempts, which are requeued after their grace. To be called when the order to stop
        arrives, not after the server has waited for its connections. The second call ends the
        grace."""
        self.run_task.stop()
        self.feed.close()
        self.open_streams.end_all()  # also those whose clients are waited for
        self.held_streams.close()

    async def drained(self) -> None:
        """Return once no attempt runs any more. To be called after `stop`."""
        await self.run_task.drained()

    async def _keep_stream_slots(self) -> None:
        while True:
            await asyncio.sleep(STREAM_TTL / 3)
            await self.quotas.keep_streams()

    async def _watch_keys(self) -> None:
        keys = self.valid_keys
        if keys.required and not keys.names:
            log.warning("no API key is valid: every call gets 401", file=str(keys.file))
        await watch(keys, self._keys_changed)

    def _keys_changed(self, change: Change) -> None:
        if change.fault is not None:
            log.error("API keys not changed: those from before stay valid", reason=change.fault)
            return
        log.info(
            "API keys changed", keys=change.count, added=change.added, withdrawn=change.withdrawn
        )
        self.open_streams.end_of(change.gone)

    async def _measure_lag(self) -> None:
        clock, lag = asyncio.get_running_loop().time, self.metrics.event_loop_lag_seconds
        while True:
            due = clock() + LAG_PAUSE
            await asyncio.sleep(LAG_PAUSE)
            lag.observe(clock() - due)


async def close_all(connections: Sequence[object]) -> None:
    """Close those of them that can be closed, one after the other. If one fails, the others are
    closed all the same, and its error is raised."""
    async with AsyncExitStack() as stack:
        for each in reversed(connections):
            if isinstance(each, Closable):
                stack.push_async_callback(each.aclose)
