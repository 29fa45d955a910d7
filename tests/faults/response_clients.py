"""Readers of the OpenAI face among the others: the official client, which resumes by the
sequence_number of the last event that it has."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai

from tests.faults.clients import Follower
from tests.running import Client
from tests.waiting import within

LAST = {"response.completed", "response.incomplete", "response.failed"}


@dataclass
class ResponseFollower(Follower):
    number: int | None = field(default=None)
    """The sequence_number of the last event."""

    async def follow(self) -> None:
        slow = self.rng.random() < 0.2
        async with openai.AsyncOpenAI(
            base_url=f"{self.world.front.url}/v1",
            api_key="none",
            max_retries=0,
            timeout=within(4.0),
        ) as client:
            while not self.done:
                try:
                    await self._read(client, slow)
                except openai.NotFoundError:
                    if self.task_id in self.world.ended_before_loss | self.world.deleted:
                        self.done = True  # it will not be made again
                except openai.APIStatusError as error:
                    if error.status_code != 503:
                        self.faults.append(f"the stream answered {error.status_code}")
                except (openai.APIError, httpx2.HTTPError, OSError):
                    pass  # the connection broke
                await asyncio.sleep(self.rng.uniform(0.0, 0.2))

    async def _read(self, client: openai.AsyncOpenAI, slow: bool) -> None:
        hang_up = self.rng.randrange(1, 60) if self.rng.random() < 0.5 else None
        resume = {} if self.number is None else {"starting_after": self.number}
        retrieve: Any = client.responses.retrieve  # its overloads know no keywords in a dict
        stream = await retrieve(f"resp_{self.task_id}", stream=True, **resume)
        self.connections += 1
        received = 0
        async with stream:
            async for event in stream:
                self.number = event.sequence_number
                self.events.append(numbered(event.to_dict()))
                if event.type in LAST:
                    self.done = self.rng.random() < 0.5  # the others ask again, for nothing
                    return
                received += 1
                if received == hang_up:
                    return
                if slow:
                    await asyncio.sleep(0.05)
            if received == 0 and self.events and self.events[-1][1]["type"] in LAST:
                self.done = True
            elif received == 0:
                self.faults.append(f"nothing after {self.number}, and no end")


def numbered(event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """An event with an id like those of native events: what tells epochs apart, and a count from 1.
    Usage and other figures of the whole response are compared in its last event."""
    number = event["sequence_number"]
    return f"{number & 0xFF}-{(number >> 8) + 1}", event


def whole_stream(client: Client, task_id: str) -> list[tuple[str, dict[str, Any]]]:
    """All events of a response that has ended."""
    with openai.OpenAI(base_url=str(client.http.base_url.join("/v1")), api_key="none") as official:
        stream = official.responses.retrieve(f"resp_{task_id}", stream=True)
        return [numbered(event.to_dict()) for event in stream]
