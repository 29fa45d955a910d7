"""The local QStash keeps the newest dead letters: so many, of so many bytes, for so long."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.database import Transaction, open_database
from entrypoints.local_qstash import bounds, dead_letters
from entrypoints.local_qstash.dead_letters import DeadLetter, DeadLetters, Limits
from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.file_dead_letters import FileDeadLetters
from entrypoints.local_qstash.filters import LETTERS, Search, read_search
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.refusals import BadMessage
from entrypoints.local_qstash.store import DeadLetterStore
from entrypoints.local_qstash.tables import QUEUE

REFUSED = DeliveryResponse(489, {"upstash-nonretryable-error": ["true"]}, b"refused")


def _message(size: int = 10, **headers: str) -> QueuedMessage:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_message("http://example.org/x", named, b"x" * size, now=1.0)


class Letters:
    """Some dead letters, and how one is added to them."""

    def __init__(
        self, store: DeadLetterStore, add: Callable[[DeadLetter], Awaitable[None]]
    ) -> None:
        self.store = store
        self._add = add

    async def add(self, message: QueuedMessage, response: DeliveryResponse = REFUSED) -> DeadLetter:
        letter = DeadLetter.of(message, response)
        await self._add(letter)
        return letter

    async def all(self) -> list[DeadLetter]:
        """Newest first."""
        letters, cursor = await self.store.page(Search(count=2))
        while cursor is not None:
            more, cursor = await self.store.page(Search(count=2, cursor=cursor))
            letters += more
        return letters


@pytest.fixture(params=["memory", "file"])
async def letters_of(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Callable[[Limits], Letters]]:
    """Makes letters of these limits, in memory or in a file."""
    database = open_database(tmp_path / "queue.db", [QUEUE])

    def in_memory(limits: Limits) -> Letters:
        letters = DeadLetters(limits)

        async def add(letter: DeadLetter) -> None:
            letters.add(letter)

        return Letters(letters, add)

    def in_file(limits: Limits) -> Letters:
        letters = FileDeadLetters(database, limits)

        async def add(letter: DeadLetter) -> None:
            def work(tx: Transaction) -> None:
                body = (letter.message.id, letter.message.body)
                tx.execute("INSERT OR REPLACE INTO bodies (message, body) VALUES (?, ?)", body)
                letters.add(tx, letter)

            await database.write(work, durable=False)

        return Letters(letters, add)

    yield in_memory if request.param == "memory" else in_file
    left = await database.read(
        lambda db: db.execute(
            "SELECT count(*) FROM bodies WHERE message NOT IN (SELECT message FROM dead_letters)"
        ).fetchone()
    )
    assert left == (0,)
    await database.aclose()


LettersOf = Callable[[Limits], Letters]


async def test_the_oldest_are_dropped_beyond_a_number(letters_of: LettersOf) -> None:
    letters, messages = letters_of(Limits(number=3)), [_message() for _ in range(5)]
    added = [await letters.add(each) for each in messages]
    assert await letters.all() == list(reversed(added[2:]))
    assert await letters.store.get(added[0].id) is None
    assert await letters.store.get(added[4].id) == added[4]
    assert await letters.store.delete([each.id for each in added]) == 3


async def test_the_oldest_are_dropped_beyond_a_sum_of_bytes(letters_of: LettersOf) -> None:
    letters = letters_of(Limits(size=10 * 100_000))
    for _ in range(30):
        newest = await letters.add(_message(90_000))
    kept = await letters.all()
    assert kept[0] == newest
    assert 9 <= len(kept) <= 10
    assert sum(each.size for each in kept) <= 1_000_000
    # One that is deleted makes room again.
    await letters.store.delete([each.id for each in kept])
    for _ in range(9):
        await letters.add(_message(90_000))
    assert len(await letters.all()) == 9


@pytest.mark.parametrize(
    ("message", "response"),
    [
        (_message(100_000), REFUSED),
        (_message(), DeliveryResponse(500, {}, b"x" * 100_000)),
        (_message(), DeliveryResponse(500, {"x-long": ["x" * 100_000]}, b"")),
        (_message(Upstash_Forward_Long="x" * 100_000), REFUSED),
        (_message(Upstash_Failure_Callback_Forward_Long="x" * 100_000), REFUSED),
        (_message(Upstash_Callback=f"http://example.org/{'x' * 100_000}"), REFUSED),
        (_message(Upstash_Label="x" * 100_000), REFUSED),
    ],
)
async def test_everything_that_others_choose_counts(
    letters_of: LettersOf, message: QueuedMessage, response: DeliveryResponse
) -> None:
    letters = letters_of(Limits(size=250_000))
    for number in range(5):
        await letters.add(replace(message, id=f"msg_{number}"), response)
    assert len(await letters.all()) == 2


def test_an_id_for_deduplication_takes_no_more_than_its_hash() -> None:
    message = _message(Upstash_Deduplication_Id="x" * 100_000)
    assert len(message.deduplication or "") < 100


async def test_the_oldest_are_dropped_beyond_an_age(
    letters_of: LettersOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(dead_letters, "time", lambda: now)
    letters = letters_of(Limits(age=60.0))
    old = await letters.add(_message())
    now += 59
    young = await letters.add(_message())
    assert await letters.store.get(old.id) == old
    now += 2
    assert await letters.store.get(old.id) is None
    assert await letters.all() == [young]
    now += 60
    assert await letters.all() == []
    await letters.add(_message())
    assert len(await letters.all()) == 1


async def test_a_page_goes_on_although_its_letter_was_dropped(
    letters_of: LettersOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = letters_of(Limits())
    now = 1_000_000.0
    monkeypatch.setattr(dead_letters, "time", lambda: now)
    added = []
    for _ in range(3):
        added.append(await letters.add(_message()))
        now += 1
    _, cursor = await letters.store.page(Search(count=1))
    assert cursor == added[1].id
    await letters.store.delete([cursor])
    rest, cursor = await letters.store.page(Search(count=5, cursor=cursor))
    assert (rest, cursor) == ([added[0]], None)


async def test_a_page_is_bounded_in_bytes(letters_of: LettersOf) -> None:
    letters = letters_of(Limits())
    for _ in range(3):
        await letters.add(_message(bounds.PAGE_BYTES * 2 // 3))
    page, cursor = await letters.store.page(Search(count=100))
    assert len(page) == 1
    assert cursor is not None
    assert len(await letters.all()) == 3


async def test_filters_and_ids(letters_of: LettersOf) -> None:
    letters = letters_of(Limits())
    tagged = await letters.add(
        replace(
            _message(
                Upstash_Label="a,b",
                Upstash_Flow_Control_Key="key",
                Upstash_Flow_Control_Value="rate=1",
            ),
            queue="q",
            url_group="group",
            schedule_id="scd_1",
            caller_ip="10.0.0.1",
        )
    )
    other = await letters.add(_message(), DeliveryResponse(500, {}, b""))

    async def found(*wanted: tuple[str, str]) -> list[DeadLetter]:
        search = read_search(LETTERS, wanted)
        page, _ = await letters.store.page(search)
        assert [each.id for each in page] == (await letters.store.ids(search))[0]
        return page

    for name, value in (
        ("label", "a"),
        ("label", "x,b"),
        ("queueName", "q"),
        ("topicName", "group"),
        ("scheduleId", "scd_1"),
        ("callerIp", "10.0.0.1"),
        ("flowControlKey", "key"),
        ("responseStatus", "489"),
        ("messageId", tagged.message.id),
        ("toDate", str(tagged.at)) if tagged.at < other.at else ("label", "a"),
        ("dlqIds", tagged.id),
    ):
        assert await found((name, value)) == [tagged], name
    assert await found(("responseStatus", "500")) == [other]
    assert await found(("url", other.message.url)) == [other, tagged]
    assert await found(("messageId", tagged.message.id), ("label", "c")) == []
    assert await found(("fromDate", str(other.at)), ("responseStatus", "500")) == [other]
    assert await found(("toDate", str(tagged.at - 1))) == []
    assert await found(("dlqIds", f"{tagged.id},unknown"), ("label", "c")) == [tagged]
    with pytest.raises(BadMessage, match="cursor"):
        await found(("cursor", "nothing"))


async def test_a_letter_of_an_earlier_version_is_found(tmp_path: Path) -> None:
    """Its message had one label, and neither a URL group nor a schedule."""
    database = open_database(tmp_path / "queue.db", [QUEUE])
    letters, letter = FileDeadLetters(database), DeadLetter.of(_message(Upstash_Label="a"), REFUSED)

    def work(tx: Transaction) -> None:
        tx.execute("INSERT INTO bodies (message, body) VALUES (?, ?)", (letter.message.id, b""))
        letters.add(tx, letter)
        tx.execute(
            "UPDATE dead_letters SET head = json_set(json_remove(head, '$.labels', '$.url_group',"
            " '$.schedule_id', '$.endpoint'), '$.label', 'a')"
        )

    await database.write(work)
    for wanted, found in (("a", [letter.id]), ("b", [])):
        search = read_search(LETTERS, [("label", wanted)])
        assert (await letters.ids(search))[0] == found
    assert (await letters.page(Search()))[0][0].message.labels == ("a",)
    await database.aclose()


def test_the_newest_always_fits() -> None:
    largest = bounds.BODY_LIMIT + bounds.RESPONSE_BYTES
    # And the headers of both: a request's head is bounded to 32 KiB, a batch is one body.
    assert largest + bounds.BODY_LIMIT // 2 < bounds.DEAD_BYTES
