"""Longtask as the upstream of Longtask, each in a process of its own: the first asks the second for
a background response, and the second asks a model."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.upstream import Gate, Script, Upstream, answer, piece
from tests.end_to_end.openai_client import openai_client
from tests.end_to_end.restarting import Home, Reader, statuses
from tests.running import Client, Seen
from tests.waiting import eventually, within


@dataclass
class Chain:
    first: Home
    second: Home
    model: Upstream

    def tasks_of_second(self) -> list[str]:
        """The statuses of the tasks that the second has."""
        with Client(self.second.url) as client:
            return [each["status"] for each in client.http.get("/api/tasks").json()["tasks"]]


@pytest.fixture
def chain(tmp_path: Path, upstream: Upstream) -> Chain:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    retries = {"LONGTASK_QSTASH_RETRY_DELAY": "500", "LONGTASK_QSTASH_RETRIES": "20"}
    second = Home(folders[1], upstream, **retries)
    settings = {"OPENAI_BASE_URL": f"{second.url}/v1", "LONGTASK_OPENAI_API": "responses"}
    return Chain(Home(folders[0], upstream, **retries, **settings), second, upstream)


@contextmanager
def asked(chain: Chain, **fields: Any) -> Iterator[Reader]:
    """A reader of a task of the first, which now serves no more."""
    with chain.first.serving() as first:
        with Client(chain.first.url) as client:
            reader = Reader(chain.first.url, client.start("Hi.", **fields))
        reader.until_text("One")
        first.kill()
        first.wait()
    yield reader


def _attempts(seen: Seen) -> list[bool]:
    """Of each attempt: whether it went on with what the last one said."""
    running = [each.data for each in seen.logged if each.data.get("data") == "running"]
    return [bool(each.get("resumed")) for each in running]


@pytest.mark.soak
def test_the_first_is_killed_and_reads_the_same_answer_on(chain: Chain) -> None:
    gates = [Gate(), Gate()]
    said: list[bytes | float | Gate] = [piece("One"), gates[0], piece(" two"), gates[1]]
    chain.model.then(Script([*said, *answer(" three.")]))
    with chain.second.serving(), asked(chain) as reader:
        gates[0].open()  # the second writes on, without readers
        with chain.first.serving() as first:
            reader.until_text("One two")
            first.send_signal(signal.SIGTERM)  # hands over
            first.wait(within(20))
        gates[1].open()
        with chain.first.serving():
            seen = reader.whole()
        assert chain.tasks_of_second() == ["completed"]
    assert seen.text == "One two three."
    assert _attempts(seen) == [False, True, True]
    assert len(chain.model.received) == 1


@pytest.mark.soak
def test_the_second_is_killed_and_the_first_asks_for_nothing_anew(chain: Chain) -> None:
    """The model of the second keeps nothing, so it takes its text back. The first reads on what the
    second says next."""
    chain.model.then(Script([piece("One"), Gate()]), Script(answer("Another", " answer.")))
    with chain.first.serving(), chain.second.serving() as second:
        with Client(chain.first.url) as client:
            reader = Reader(chain.first.url, client.start("Hi."))
        reader.until_text("One")
        second.kill()
        second.wait()
        with chain.second.serving():
            seen = reader.whole()
            assert chain.tasks_of_second() == ["completed"]
    assert seen.logged[-1].data["data"] == "Another answer."
    assert "pending continuation_lost" in statuses(seen)
    assert len(chain.model.received) == 2


@pytest.mark.soak
def test_what_ends_the_task_cancels_the_answer_though_no_attempt_runs(chain: Chain) -> None:
    chain.model.then(Script([piece("One"), Gate()]))
    with chain.second.serving(), asked(chain) as reader:
        with (
            chain.first.serving(LONGTASK_QSTASH_RETRY_DELAY="60000"),
            Client(chain.first.url) as client,
        ):
            client.http.post(f"/api/tasks/{reader.task_id}/cancel")
            seen = reader.whole()
            eventually(lambda: chain.tasks_of_second() == ["cancelled"])
        assert statuses(seen)[-1] == "cancelled"
        assert chain.model.received[0].gone.wait(within(10))


@pytest.mark.soak
def test_calls_and_reasoning_come_through_the_official_client(chain: Chain) -> None:
    """The demo model of the second reasons and calls a tool."""
    tool: Any = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
    reasoning: Any = {"effort": "low", "summary": "auto"}
    with (
        chain.second.serving(OPENAI_BASE_URL=""),
        chain.first.serving(),
        openai_client(chain.first.url) as client,
    ):
        told = client.responses.create(
            model="demo",
            input="How is the weather?",
            tools=[tool],
            reasoning=reasoning,
        )
    kinds = [item.type for item in told.output]
    assert kinds[0] == "reasoning"
    assert "function_call" in kinds
    assert told.usage is not None
    assert told.usage.total_tokens > 0


@pytest.mark.soak
def test_what_is_not_stored_begins_anew(chain: Chain) -> None:
    chain.model.then(Script([piece("One"), Gate()]), Script(answer("Another", " answer.")))
    not_stored = {"store": False}
    with (
        chain.second.serving(),
        asked(chain, options=not_stored) as reader,
        chain.first.serving(),
    ):
        seen = reader.whole()
    assert seen.logged[-1].data["data"] == "Another answer."
    assert _attempts(seen)[-1] is False
    assert len(chain.model.received) == 2
