"""A queue that answers with nonsense is a queue that did not answer: the client is told so, and no
record stays pending."""

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator

import pytest

from adapters.qstash import QStashQueue
from application.errors import QueueUnavailable
from domain.task import Task
from tests.builders import REQUEST
from tests.doubles.destination import Answer, Destination
from tests.running import running_service, settings_for
from tests.waiting import eventually

pytestmark = pytest.mark.soak

HUGE = b'{"messageId": "msg_1", "x": "' + b"x" * 2**20 + b'"}'
COMPRESSED = Answer(
    headers={"Content-Encoding": "gzip"}, body=gzip.compress(b'{"messageId": "msg_1"}')
)
NONSENSE = {
    "empty": b"",
    "no JSON": b"<html>Welcome</html>",
    "not UTF-8": b'{"messageId": "\xff\xfe"}',
    "deep": b"[" * 100_000,
    "null": b"null",
    "a number": b"7",
    "a text": b'"ok"',
    "an empty object": b"{}",
    "an empty list": b"[]",
    "a list": b'[{"messageId": "msg_1"}]',
    "a list of numbers": b"[1]",
    "no id": b'{"messageId": null}',
    "an empty id": b'{"messageId": ""}',
    "an id of another type": b'{"messageId": {"a": 1}}',
    "an id of many lines": b'{"messageId": "a\\nb"}',
    "an endless id": json.dumps({"messageId": "x" * 10_000}).encode(),
    "huge": HUGE,
}


@pytest.fixture
def stub() -> Iterator[Destination]:
    with Destination().running() as stub:
        yield stub


def _task(number: int) -> Task:
    return Task.submit(f"task_1_{number}", REQUEST, 1).task


def _scripted(stub: Destination, answer: Answer) -> None:
    """The same answer to everything: the SDK asks again where none could be read."""
    stub.answers.clear()
    stub.answers.extend([answer] * 50)


@pytest.mark.parametrize("case", [*NONSENSE, "compressed", "500", "503"])
def test_a_start_that_gets_nonsense_is_told_so_and_fails(case: str, stub: Destination) -> None:
    settings = settings_for(
        qstash_token="token",
        qstash_current_signing_key="sig_1",
        qstash_next_signing_key="sig_2",
        base_url="http://127.0.0.1:9",
        qstash_url=stub.url,
        qstash_timeout=5.0,
    )
    with running_service(settings) as service:
        if case.isdigit():
            _scripted(stub, Answer(int(case), body=b'{"error": "oops"}'))
        else:
            _scripted(stub, COMPRESSED if case == "compressed" else Answer(body=NONSENSE[case]))
        reply = service.client.http.post("/api/tasks/start", json={"prompt": "Hi."})
        assert reply.status_code == 503, reply.text
        assert reply.json()["type"] == "urn:longtask:problem:queue-unavailable"
        [body] = {each.body for each in stub.delivered if each.path.startswith("/v2/publish")}
        record = service.client.record(json.loads(body)["taskId"])
        assert record["status"] == "failed"
        assert record["error"]["code"] == "queue_unavailable"
        assert service.client.http.get("/readyz").status_code == 503


@pytest.mark.parametrize(
    "batch",
    [
        b"[]",
        b"{}",
        b"null",
        b'[{"messageId": "msg_a"}]',
        b'[{"messageId": "msg_a"}, {"messageId": ""}]',
        b'[{"messageId": "msg_a"}, [{"messageId": "msg_b", "url": "u"}]]',
        b'[{"messageId": "msg_a"}, {"messageId": "msg_b"}, {"messageId": "msg_c"}]',
    ],
)
async def test_a_batch_answered_with_nonsense_is_asked_for_one_by_one(
    batch: bytes, stub: Destination
) -> None:
    queue = QStashQueue(
        token="token",
        url=stub.url,
        webhook_url="http://127.0.0.1:1/webhook",
        failure_url="http://127.0.0.1:1/failure",
        retries=3,
        retry_delay="1",
        timeout=5.0,
        delivery_timeout=None,
    )

    async def two_at_once() -> list[str | BaseException]:
        """While another call is under way, so that they go together."""
        gate = threading.Event()
        stub.delivered.clear()
        stub.answers.appendleft(Answer(body=b'{"messageId": "msg_0"}', gate=gate))
        first = asyncio.create_task(queue.enqueue(_task(0), REQUEST))
        await asyncio.to_thread(eventually, lambda: stub.delivered)
        two = [asyncio.create_task(queue.enqueue(_task(number), REQUEST)) for number in (1, 2)]
        await asyncio.to_thread(eventually, lambda: stub.at("/v2/batch"))
        gate.set()
        assert await first == "msg_0"
        return await asyncio.gather(*two, return_exceptions=True)

    singles = [Answer(body=b'{"messageId": "msg_%d"}' % number) for number in (1, 2)]
    stub.answers.extend([Answer(body=batch), *singles])
    assert sorted(map(str, await two_at_once())) == ["msg_1", "msg_2"]
    stub.answers.extend([Answer(body=b"[]")] * 10)
    answers = await two_at_once()
    assert [isinstance(each, QueueUnavailable) for each in answers] == [True, True], answers
    with pytest.raises(QueueUnavailable):
        await queue.check()
    await queue.aclose()
