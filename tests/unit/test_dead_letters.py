"""The local QStash keeps the newest dead letters: so many, of so many bytes, for so long."""

import pytest

from entrypoints.local_qstash import bounds, dead_letters
from entrypoints.local_qstash.dead_letters import DeadLetters
from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.message import QueuedMessage, read_message

REFUSED = DeliveryResponse(489, {"upstash-nonretryable-error": ["true"]}, b"refused")


def _message(size: int = 10, **headers: str) -> QueuedMessage:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_message("http://example.org/x", named, b"x" * size, now=1.0)


def _ids(letters: DeadLetters) -> list[str]:
    return [each.message.id for each in letters.newest_first()]


def test_the_oldest_are_dropped_beyond_a_number() -> None:
    letters, messages = DeadLetters(number=3), [_message() for _ in range(5)]
    added = [letters.add(each, REFUSED) for each in messages]
    assert _ids(letters) == [each.id for each in reversed(messages[2:])]
    assert letters.get(added[0].id) is None
    assert letters.get(added[4].id) is added[4]
    assert letters.delete([each.id for each in added]) == 3


def test_the_oldest_are_dropped_beyond_a_sum_of_bytes() -> None:
    letters = DeadLetters(size=10 * 100_000)
    for _ in range(30):
        newest = letters.add(_message(90_000), REFUSED)
    kept = letters.newest_first()
    assert kept[0] is newest
    assert 9 <= len(kept) <= 10
    assert sum(each.size for each in kept) <= 1_000_000
    # One that is deleted makes room again.
    letters.delete([each.id for each in kept])
    for _ in range(9):
        letters.add(_message(90_000), REFUSED)
    assert len(letters.newest_first()) == 9


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
        (
            _message(
                Upstash_Flow_Control_Key="x" * 100_000,
                Upstash_Flow_Control_Value="parallelism=1",
            ),
            REFUSED,
        ),
    ],
)
def test_everything_that_others_choose_counts(
    message: QueuedMessage, response: DeliveryResponse
) -> None:
    letters = DeadLetters(size=250_000)
    for _ in range(5):
        letters.add(message, response)
    assert len(letters.newest_first()) == 2


def test_an_id_for_deduplication_takes_no_more_than_its_hash() -> None:
    message = _message(Upstash_Deduplication_Id="x" * 100_000)
    assert len(message.deduplication or "") < 100


def test_the_oldest_are_dropped_beyond_an_age(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(dead_letters, "time", lambda: now)
    letters = DeadLetters(age=60.0)
    old = letters.add(_message(), REFUSED)
    now += 59
    young = letters.add(_message(), REFUSED)
    assert letters.get(old.id) is old
    now += 2
    assert letters.get(old.id) is None
    assert letters.newest_first() == [young]
    now += 60
    assert letters.newest_first() == []


def test_the_newest_always_fits() -> None:
    largest = bounds.BODY_LIMIT + bounds.RESPONSE_BYTES
    # And the headers of both: a request's head is bounded to 32 KiB, a batch is one body.
    assert largest + bounds.BODY_LIMIT // 2 < bounds.DEAD_BYTES
