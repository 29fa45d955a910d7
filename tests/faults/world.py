"""What every world has that can be broken: instances of the service, the model's server, and a
proxy between any two parts; and what is known of it that the verdict has to know."""

import base64
import contextlib
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.faults.planned import PlannedModel
from tests.faults.programs import Program
from tests.faults.receiver import Receiver
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually

LEASE = 1.5
ORPHAN_TIMEOUT = 60.0
"""More than QStash takes for the four deliveries of a message and of its failure callback, of which
each may be told to come again after five seconds or run into its time-out."""
RETRIES = 3
SHARE = 10
"""Tasks that run at the same time: half of those that users start, so that some wait."""
MESSAGE_LIMIT = 4096
"""Bytes of a request above which it is in the store only."""
SETTINGS = {
    "LONGTASK_QSTASH_RETRIES": str(RETRIES),
    "LONGTASK_QSTASH_RETRY_DELAY": "200 * pow(2, retried)",
    "LONGTASK_QSTASH_TIMEOUT": "2",
    "LONGTASK_MAX_MESSAGE_BYTES": str(MESSAGE_LIMIT),
    "LONGTASK_DELIVERY_TIMEOUT": "4",
    "LONGTASK_ORPHAN_TIMEOUT": str(ORPHAN_TIMEOUT),
    "LONGTASK_LEASE": str(LEASE),
    "LONGTASK_SHARES": f"*:parallelism={SHARE}",
    "LONGTASK_GRACE": "0.5",
    "LONGTASK_SSE_PING_INTERVAL": "1",
    "LONGTASK_MODEL_READ_TIMEOUT": "2",
    "LONGTASK_LOG_FORMAT": "json",
}


class World:
    instances: list[Program]
    front: TcpProxy
    """What clients reach the instances by."""
    back: TcpProxy
    """What QStash reaches them by."""
    to_model: TcpProxy
    token: str
    """QStash's, and the key that it signs deliveries with."""
    signing_key: str

    def __init__(self, folder: Path, rng: random.Random, model: PlannedModel) -> None:
        self.rng = rng
        self.model = model
        self.receiver = Receiver()
        self._folder = folder
        self.lost_data = False
        """Whether the store lost anything."""
        self.lost_end = False
        """Whether it lost what was written last, of attempts that went on."""
        self.ended_before_loss: set[str] = set()
        """Tasks that no delivery will bring again, whatever was lost of them."""
        self.deleted: set[str] = set()
        """Tasks that a user deletes or has deleted."""
        self.qstash_forgot = False
        self.given_up: set[str] = set()
        """Tasks of which QStash could deliver neither the message nor the failure callback."""

    @property
    def proxies(self) -> dict[str, TcpProxy]:
        return {"front": self.front, "back": self.back, "to_model": self.to_model}

    @property
    def programs(self) -> list[Program]:
        return self.instances

    @property
    def settings(self) -> dict[str, str]:
        """Those of every instance, by which it also asks the model and tells the receiver."""
        return {
            **SETTINGS,
            **self.model.settings,
            "OPENAI_BASE_URL": f"{self.to_model.url}/v1",
            "LONGTASK_WEBHOOK_SECRETS": self.receiver.secret,
            "LONGTASK_WEBHOOK_ALLOW_PRIVATE": "true",
        }

    @property
    def qstash_port(self) -> int:
        raise NotImplementedError

    @contextmanager
    def running(self) -> Iterator[None]:
        raise NotImplementedError
        yield

    def heal(self) -> None:
        """All as it should be, as far as we can make it so."""
        for proxy in self.proxies.values():
            proxy.delay, proxy.refusing = 0.0, False
        for program in self.programs:
            program.thaw()
            program.start()
        self.all_ready()

    def all_ready(self) -> None:
        for program in self.instances:
            eventually(partial(program.answers, "/readyz"), 60)

    def ask_given_up(self) -> set[str]:
        """Tasks of which QStash could deliver neither the message nor the failure callback."""
        url = f"http://127.0.0.1:{self.qstash_port}/v2/dlq"
        headers = {"Authorization": f"Bearer {self.token}"}
        found: set[str] = set()
        page: dict[str, Any] = {"cursor": ""}
        while (cursor := page.get("cursor")) is not None:
            page = httpx.get(url, params={"cursor": cursor}, headers=headers).json()
            for letter in page["messages"]:
                if letter["url"].endswith("/api/qstash/failure"):
                    source = base64.b64decode(json.loads(letter["body"])["sourceBody"])
                    found.add(json.loads(source)["taskId"])
        return found

    def complaints(self) -> list[str]:
        """Lines of the instances' logs that no fault excuses."""
        found = []
        for program in self.instances:
            for line in program.log.read_text().splitlines():
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    if entry.get("event") in (
                        "request failed",
                        "attempt crashed",
                        "subscribing connection failed",
                    ):
                        found.append(f"{program.name}: {line[-1500:]}")
                    continue
                if not self.excuses(line):
                    found.append(f"{program.name}: {line[:500]}")
        return found

    def excuses(self, line: str) -> bool:
        """Whether a line that is none of the log is what a fault of this world explains."""
        return False
