"""The mixed load of a soak: users of all faces, whose tasks end in all ways.

Nothing in it lasts: the store's times to live are minutes, chats are few and used again.
"""

import asyncio
import contextlib
import random
from collections import Counter
from typing import Any

import httpx
from tests.doubles.upstream import Received, Script
from tests.faults.planned import (
    BROKEN,
    BUSY,
    CUT,
    FAILED,
    GOOD,
    REFUSED,
    SILENT,
    Plan,
    PlannedModel,
)

SETTINGS = {
    "TASK_TTL": "120",
    "LONGTASK_MODEL_READ_TIMEOUT": "5",
    "LONGTASK_QSTASH_RETRY_DELAY": "500",
    "LONGTASK_WEBHOOK_ALLOW_PRIVATE": "true",
    "LONGTASK_ADDRESS_LIMITS": "starts=100000,running=10000,streams=10000,tokens=100000000000",
}
"""Of the service: times after which nothing of a task is left, and limits that count and refuse
nothing."""
OUTCOMES = {GOOD: 82, CUT: 5, BROKEN: 4, BUSY: 4, FAILED: 2, SILENT: 1, REFUSED: 2}
SHAPES = ((5, 0.2), (40, 0.05), (100, 0.02), (200, 0.005))
"""Pieces of an answer, and seconds between them."""
AT_ONCE = 200
CHATS = 20
WATCHED, LISTED = 60.0, 10.0
"""Seconds for which a watch is open, and between two pages of the list."""
ACTIONS = {
    "follow": 30, "late": 8, "result": 8, "unread": 6, "cancel": 6, "delete": 1, "retry": 6,
    "delayed": 3, "webhook": 6, "shared": 4,
    "responses": 8, "background": 5, "chat": 6, "ai_sdk": 6,
}  # fmt: skip
"""How many of a hundred or so users do what. Those of the last row use the faces."""


class Model(PlannedModel):
    """Answers by the plan that is the prompt, and keeps nothing of what it was asked."""

    def script_for(self, received: Received) -> Script:
        self.received.clear()
        return super().script_for(received)


class Load:
    """Users of the service at an address. `done` counts what they did, `odd` what they did not
    expect."""

    def __init__(self, address: str, webhook: str, seed: int = 1) -> None:
        self.done: Counter[str] = Counter()
        self.odd: Counter[str] = Counter()
        self._webhook = webhook
        self._rng = random.Random(seed)  # noqa: S311
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self._client = httpx.AsyncClient(base_url=address, timeout=60, limits=limits)

    async def use(self, seconds: float, per_second: float) -> None:
        """Start so many users a second, until the time is over, and wait for the last ones."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        always = [
            asyncio.create_task(each) for each in (self._watch(), self._watch(), self._list())
        ]
        users: set[asyncio.Task[None]] = set()
        while loop.time() < until:
            if len(users) < AT_ONCE:
                user = asyncio.create_task(self._one())
                users.add(user)
                user.add_done_callback(users.discard)
            else:
                self.odd["too many at once"] += 1
            await asyncio.sleep(self._rng.expovariate(per_second))
        for each in always:
            each.cancel()
        await asyncio.gather(*users, *always, return_exceptions=True)
        await self._client.aclose()

    async def _one(self) -> None:
        action = self._rng.choices(list(ACTIONS), list(ACTIONS.values()))[0]
        plan = self._plan()
        try:
            if action in ("responses", "background", "chat", "ai_sdk"):
                await getattr(self, f"_{action}")(plan)
            else:
                await self._native(action, plan)
        except (httpx.HTTPError, KeyError, ValueError, TimeoutError) as error:
            self.odd[f"{action}: {error!r}"[:200]] += 1
        self.done[action] += 1

    def _plan(self) -> Plan:
        rng = self._rng
        calls = rng.choices(list(OUTCOMES), list(OUTCOMES.values()), k=rng.randrange(1, 3))
        pieces, pace = rng.choice(SHAPES)
        self.done["plans"] += 1
        name = f"t{self.done['plans']}"
        return Plan(name, pieces, pace, tuple(calls), mixed=rng.random() < 0.3)

    async def _native(self, action: str, plan: Plan) -> None:
        rng, client = self._rng, self._client
        body: dict[str, Any] = {"prompt": plan.prompt(), "metadata": {"kind": action}}
        if action == "delayed":
            body |= {"delay": 2, "deadline": 30}
        if action == "webhook":
            body["webhook"] = {"url": self._webhook}
        if action == "shared":
            body["flowControl"] = {"key": f"k{rng.randrange(5)}", "parallelism": 3}
        if action == "late":
            body["ttl"] = 60
        started = await client.post("/api/tasks/start", json=body)
        started.raise_for_status()
        task_id = started.json()["taskId"]
        path = f"/api/tasks/{task_id}"
        if action == "unread":
            return
        if action in ("cancel", "delete"):
            reading = asyncio.create_task(self._follow(task_id, gone=action == "delete"))
            await asyncio.sleep(rng.uniform(0, 2))
            self._expect(await client.request(
                "DELETE" if action == "delete" else "POST",
                path if action == "delete" else f"{path}/cancel",
            ), 202, 204, 409)  # fmt: skip
            await reading
        elif action in ("late", "result", "retry"):
            record = await self._result(path)
            if action == "retry" and record["status"] in ("failed", "cancelled"):
                again = await client.post(f"{path}/retry")
                if self._expect(again, 202):
                    await self._follow(again.json()["taskId"])
            elif action == "late":
                await self._follow(task_id)
        else:
            await self._follow(task_id)

    async def _result(self, path: str) -> dict[str, Any]:
        for _ in range(10):
            response = await self._client.get(f"{path}/result", params={"wait": "20"})
            response.raise_for_status()
            record: dict[str, Any] = response.json()
            if record["status"] not in ("pending", "running"):
                return record
        raise TimeoutError("not ended")

    async def _follow(self, task_id: str, *, gone: bool = False) -> None:
        """Read to the end, and hang up at random meanwhile, half of the times."""
        last, rng = "", self._rng
        for _ in range(200):
            hang_up = rng.randrange(1, 60) if rng.random() < 0.5 else 10**9
            headers = {"Last-Event-ID": last} if last else {}
            url = f"/api/tasks/{task_id}/stream"
            with contextlib.suppress(httpx.TransportError):
                async with self._client.stream("GET", url, headers=headers) as response:
                    if response.status_code == 204 or (gone and response.status_code == 404):
                        return
                    if not self._expect(response, 200):
                        return
                    self.done["connections"] += 1
                    async for line in response.aiter_lines():
                        if line.startswith("id: "):
                            last, hang_up = line[4:], hang_up - 1
                            self.done["events"] += 1
                        elif '"type":"end"' in line or '"type":"error"' in line:
                            return
                        if hang_up == 0:
                            break
            await asyncio.sleep(rng.uniform(0, 0.3))
        self.odd["a reader did not come to the end"] += 1

    async def _responses(self, plan: Plan) -> None:
        body = {"model": "m", "input": plan.prompt(), "stream": True}
        await self._read("POST", "/v1/responses", body)

    async def _background(self, plan: Plan) -> None:
        body = {"model": "m", "input": plan.prompt(), "background": True}
        started = await self._client.post("/v1/responses", json=body)
        started.raise_for_status()
        await self._read("GET", f"/v1/responses/{started.json()['id']}?stream=true")

    async def _chat(self, plan: Plan) -> None:
        messages = [{"role": "user", "content": plan.prompt()}]
        body = {"model": "m", "messages": messages, "stream": self._rng.random() < 0.7}
        await self._read("POST", "/v1/chat/completions", body, 200, 400, 401, 429, 500, 502, 503)

    async def _ai_sdk(self, plan: Plan) -> None:
        chat = f"chat-{self._rng.randrange(CHATS)}"
        message = {
            "id": plan.name,
            "role": "user",
            "parts": [{"type": "text", "text": plan.prompt()}],
        }
        await self._read("POST", "/api/chat", {"id": chat, "messages": [message]})

    async def _read(
        self, method: str, path: str, body: dict[str, Any] | None = None, *statuses: int
    ) -> None:
        async with self._client.stream(method, path, json=body) as response:
            self._expect(response, *(statuses or (200,)))
            self.done["connections"] += 1
            async for line in response.aiter_lines():
                self.done["events"] += line.startswith("data: ")

    async def _watch(self) -> None:
        """Watch all tasks, through one connection after the other."""
        last = ""
        while True:
            headers = {"Last-Event-ID": last} if last else {}
            with contextlib.suppress(httpx.TransportError, TimeoutError):
                async with (
                    asyncio.timeout(WATCHED),
                    self._client.stream("GET", "/api/tasks/events", headers=headers) as response,
                ):
                    self._expect(response, 200)
                    self.done["watches"] += 1
                    async for line in response.aiter_lines():
                        if line.startswith("id: "):
                            last = line[4:]
                            self.done["changes"] += 1
            await asyncio.sleep(1)

    async def _list(self) -> None:
        while True:
            for path in ("/api/tasks?limit=100", "/metrics", "/api/me", "/api/usage"):
                with contextlib.suppress(httpx.TransportError):
                    self._expect(await self._client.get(path), 200)
            self.done["pages"] += 1
            await asyncio.sleep(LISTED)

    def _expect(self, response: httpx.Response, *statuses: int) -> bool:
        if response.status_code not in statuses:
            where = response.request.url.path.split("task_")[0]
            self.odd[f"{response.status_code} of {response.request.method} {where}"] += 1
        return response.status_code in statuses
