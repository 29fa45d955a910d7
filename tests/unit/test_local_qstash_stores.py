"""The two stores of the local QStash find, cancel, give up and retry the same messages."""

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adapters.database import open_database
from entrypoints.local_qstash.dead_letters import DeadLetter
from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.file_store import FileStore
from entrypoints.local_qstash.filters import LETTERS, MESSAGES, Kind, Search, read_search
from entrypoints.local_qstash.memory_store import MemoryStore
from entrypoints.local_qstash.message import FlowControl, QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.refusals import NotThere
from entrypoints.local_qstash.retrying import message_again
from entrypoints.local_qstash.store import Outcome, Store
from entrypoints.local_qstash.tables import QUEUE

NOW = float(int(time.time()))
STEPS = 250
URLS = ("http://a.example/x", "http://b.example:81/x?y=1,2", "https://a.example/y")
LABELS = ("one", "two", "three")


class Told:
    """What a store tells the deliveries."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.cancelled: list[tuple[str, str, tuple[str, ...]]] = []

    def begin(self, messages: Sequence[QueuedMessage]) -> None:
        self.begun += [each.id for each in messages]

    def end(self, messages: Sequence[QueuedMessage]) -> None:
        self.cancelled += sorted((each.id, each.url, each.labels) for each in messages)


class Steps:
    """Random steps, the same for each store."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.messages: list[QueuedMessage] = []
        self.letters: list[DeadLetter] = []
        self.retried: list[str] = []

    def message(self, number: int) -> QueuedMessage:
        pick = self._random.choice
        message = replace(
            read_message(pick(URLS), {}, b"x" * number, now=NOW + number),
            labels=tuple(self._random.sample(LABELS, self._random.randrange(3))),
            queue=pick([None, "q"]),
            flow=pick([None, FlowControl("k", 1), FlowControl("l", None, 2)]),
            url_group=pick([None, "g"]),
            schedule_id=pick([None, "s"]),
            caller_ip=pick([None, "10.0.0.1"]),
            deduplication=pick([None, f"id:{self._random.randrange(30)}"]),
        )
        self.messages.append(message)
        return message

    def given_up(self, kept: Sequence[str]) -> DeadLetter:
        """One of these messages, or one that may have ended."""
        of = [each for each in self.messages if each.id in kept]
        message = self._random.choice(of or self.messages)
        status = self._random.choice([0, 489, 500])
        at = int(1_000 * NOW) + len(self.letters)
        letter = DeadLetter(f"{at}-a", message, DeliveryResponse(status, {}, b""), at)
        self.letters.append(letter)
        return letter

    def search(self, kind: Kind) -> Search:
        some = {
            "url": [*URLS, ",".join(URLS[:2])],
            "host": ["a.example", "b.example:81"],
            "path": ["/x", "/y", "/x,/y"],
            "label": [*LABELS, "one,two"],
            "queueName": ["q"],
            "flowControlKey": ["k", "l", "k,l"],
            "topicName": ["g"],
            "scheduleId": ["s"],
            "callerIp": ["10.0.0.1", "10.0.0.2"],
            "responseStatus": ["489", "0,500"],
            "messageId": [each.id for each in self.messages],
            "fromDate": [str(int(1_000 * NOW) + number * 500) for number in range(20)],
            "toDate": [str(int(1_000 * NOW) + number * 500) for number in range(20)],
            "count": ["1", "3", "50"],
        }
        if self._random.random() < 0.3:
            return Search()
        known = {*kind.filters, "fromDate", "toDate", "count"}
        names = self._random.sample(sorted(known & some.keys()), self._random.randrange(4))
        return read_search(kind, [(name, self._random.choice(some[name])) for name in names])

    def kind_of_step(self) -> str:
        rare = ["cancel", "give up", "deliver again", "delete", "retry"]
        return self._random.choice(["publish", "publish", *rare])


async def _all_alike(stores: Sequence[tuple[Store, Told]], steps: Steps, number: int) -> None:
    kind = steps.kind_of_step() if number > 5 else "publish"
    results: list[object] = []
    now, more = NOW + number, steps.search(MESSAGES)
    message, search = steps.message(number), steps.search(LETTERS)
    letter = steps.given_up(await stores[0][0].search(Search()))
    again, callback, failure = (message_again(message, {}, now) for _ in range(3))
    given_up = Outcome(message_id=letter.message.id, letter=letter, callback=callback)
    for store, told in stores:
        result: object = None
        if kind == "publish":
            result = await store.publish([message], now)
        elif kind == "cancel":
            found = await store.search(more)
            result = (found, await store.cancel(found[:1]))
        elif kind == "give up":
            result = await store.commit(replace(given_up, failure=failure), now)
        elif kind == "deliver again":
            result = await store.commit(replace(given_up, letter=None, again_at=1), now)
        elif kind == "delete":
            ids, _ = await store.dead_letters.ids(search)
            result = (ids, await store.dead_letters.delete([*ids[:1], "nothing"]))
        else:
            ids, _ = await store.dead_letters.ids(search)
            try:
                result = await store.retry([(ids[0] if ids else "nothing", again)], now)
                steps.retried.append(again.id)
            except NotThere as error:
                result = str(error)
        page = await store.dead_letters.page(search)
        kept = await store.search(more), await store.get(letter.message.id), await store.oldest(9)
        results.append((result, page, kept, told.begun, told.cancelled))
    assert results[0] == results[1], kind


async def test_both_stores_do_the_same(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201
    database = open_database(tmp_path / "queue.db", [QUEUE])
    steps, memory, file = Steps(seed), Told(), Told()
    stores: list[tuple[Store, Told]] = [
        (MemoryStore(memory.begin, memory.end), memory),
        (FileStore(database, file.begin, file.end), file),
    ]
    for number in range(STEPS):
        await _all_alike(stores, steps, number)
    assert set(steps.retried) <= set(memory.begun)
    assert min(len(memory.begun), len(memory.cancelled), len(steps.retried)) > 0
    await database.aclose()
