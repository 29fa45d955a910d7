"""A task from its start to its last event, through real sockets: QStash's protocol in between, a
local upstream that speaks OpenAI's, and clients that come late, leave and come back."""

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.doubles.upstream import DEFAULT, DONE, Gate, Script, Upstream, answer, finish, piece
from tests.running import (
    Client,
    Event,
    Running,
    Seen,
    running_service,
    settings_for,
)
from tests.waiting import eventually, within


def _assert_whole(events: list[Event], text: str, attempt: int = 1) -> None:
    """A log of a task that completed, by the rules that clients live by."""
    epochs = {event.id.rpartition("-")[0] for event in events}
    numbers = [int(event.id.rpartition("-")[2]) for event in events]
    assert len(epochs) == 1
    assert numbers == list(range(1, len(events) + 1))
    assert events[0].data["data"] == "pending"
    assert [event.type for event in events].count("end") == 1
    end = events[-1].data
    assert end["type"] == "end"
    assert end["data"] == text
    statuses = [event.data for event in events if event.type == "status"]
    assert [each["data"] for each in statuses][-2:] == ["running", "completed"]
    assert statuses[-1]["attempt"] == attempt


def test_a_prompt_becomes_a_live_stream(service: Running, upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    task_id = service.client.start("Count.", model="gpt-x", maxTokens=7, temperature=0.1)

    def open_once_the_first_piece_is_here(seen: Seen) -> bool:
        # The second piece is behind the gate: the first is here though the answer is not whole.
        if seen.types.count("content") == 1:
            assert seen.text == "One"
            assert gate.reached.wait(within(5))
            gate.open()
        return False

    seen = service.client.events(task_id, until=open_once_the_first_piece_is_here)

    assert seen.status == 200
    assert seen.headers["content-type"].startswith("text/event-stream")
    assert seen.headers["cache-control"] == "no-cache, no-transform"
    assert seen.headers["x-accel-buffering"] == "no"
    assert seen.types[0] == "connected"
    assert seen.events[0].data["taskId"] == task_id
    _assert_whole(seen.logged, "One two")
    assert [each.data["data"] for each in seen.logged if each.type == "content"] == ["One", " two"]
    assert seen.logged[-1].data["finishReason"] == "stop"
    sent = upstream.received[0]
    assert sent.headers["authorization"] == "Bearer sk-planted-secret"
    assert sent.body["model"] == "gpt-x"
    assert sent.body["max_tokens"] == 7
    assert sent.body["temperature"] == 0.1
    assert sent.body["messages"] == [{"role": "user", "content": "Count."}]


def test_the_record_tells_all(service: Running) -> None:
    task_id = service.client.start("Hi.", system="Be kind.", metadata={"team": "red"})
    record = service.client.wait_for(task_id, "completed")
    assert record["text"] == "Hello, world."
    assert record["attempt"] == 1
    assert record["request"] == {
        "prompt": "Hi.",
        "messages": None,
        "system": "Be kind.",
        "model": "gpt-4o-mini",
        "maxTokens": None,
        "temperature": None,
        "options": None,
        "previousTaskId": None,
        "metadata": {"team": "red"},
        "history": None,
        "ttl": None,
        "budget": None,
        "flowControl": None,
        "delay": None,
        "notBefore": None,
        "prefill": None,
        "deadline": None,
        "webhook": None,
    }
    tokens = {"promptTokens": 3, "completionTokens": 5, "totalTokens": 8}
    details = {"reasoningTokens": None, "cachedTokens": None, "estimated": False}
    assert record["usage"] == {**tokens, **details}
    assert record["model"] == "test-model"
    assert record["finishReason"] == "stop"
    assert record["error"] is None
    assert record["messageId"].startswith("msg_")
    assert record["createdAt"] <= record["startedAt"] <= record["finishedAt"]


def test_the_model_is_sent_no_parameter_that_nobody_asked_for(
    service: Running, upstream: Upstream
) -> None:
    service.client.wait_for(service.client.start(), "completed")
    sent = upstream.received[0].body
    assert sent.keys() == {"model", "messages", "stream", "stream_options"}


def test_the_settings_may_ask_for_parameters(upstream: Upstream) -> None:
    settings = settings_for(
        openai_base_url=upstream.url, default_max_tokens=77, default_temperature=0.2
    )
    with running_service(settings) as running:
        running.client.wait_for(running.client.start(), "completed")
        running.client.wait_for(running.client.start(maxTokens=7, temperature=0), "completed")
    sent = [(each.body["max_tokens"], each.body["temperature"]) for each in upstream.received]
    assert sent == [(77, 0.2), (7, 0)]


def test_a_conversation_is_sent_as_it_is(service: Running, upstream: Upstream) -> None:
    messages = [
        {"role": "user", "content": "A?"},
        {"role": "assistant", "content": "B."},
        {"role": "user", "content": "C?"},
    ]
    started = service.client.http.post("/api/tasks/start", json={"messages": messages})
    task_id = started.json()["taskId"]
    assert started.headers["location"] == f"/api/tasks/{task_id}"
    service.client.wait_for(task_id, "completed")
    assert upstream.received[0].body["messages"] == messages


def test_following_late_gives_the_same_events(service: Running) -> None:
    task_id = service.client.start()
    live = service.client.events(task_id)
    late = service.client.events(task_id)
    assert [each.data for each in late.logged] == [each.data for each in live.logged]
    assert [each.id for each in late.logged] == [each.id for each in live.logged]
    assert late.events[0].data["status"] == "completed"


def test_a_reconnect_after_the_end_is_answered_204(service: Running) -> None:
    task_id = service.client.start()
    seen = service.client.events(task_id)
    assert service.client.events(task_id, after=seen.logged[-1].id).status == 204
    query = {"taskId": task_id, "lastEventId": seen.logged[-1].id}
    assert service.client.http.get("/api/tasks/stream", params=query).status_code == 204
    missing_one = service.client.events(task_id, after=seen.logged[-2].id)
    assert [each.id for each in missing_one.logged] == [seen.logged[-1].id]


def test_an_id_of_a_lost_log_replays_from_the_start(service: Running) -> None:
    task_id = service.client.start()
    whole = service.client.events(task_id)
    other = service.client.events(task_id, after="0123456789abcdef-4")
    assert [each.id for each in other.logged] == [each.id for each in whole.logged]
    epoch = whole.logged[0].id.rpartition("-")[0]
    beyond = service.client.events(task_id, after=f"{epoch}-999")
    assert [each.id for each in beyond.logged] == [each.id for each in whole.logged]


def _follow_in_cuts(
    url: str, task_id: str, cuts: list[int], slowness: float, seen: list[Event]
) -> None:
    """Read with a connection per cut, hanging up after so many events, then to the end; a pause of
    `slowness` seconds before each event is taken."""

    def hang_up_after(events: int) -> Callable[[Seen], bool]:
        def full(part: Seen) -> bool:
            time.sleep(slowness)
            return len(part.logged) >= events

        return full

    with Client(url) as client:
        for cut in [*cuts, 10_000]:
            part = client.events(task_id, seen[-1].id if seen else "", until=hang_up_after(cut))
            seen.extend(part.logged)
            if part.status == 204 or (seen and seen[-1].type in ("end", "error")):
                return


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cuts=st.lists(
        st.lists(st.integers(min_value=1, max_value=12), max_size=6), min_size=3, max_size=3
    ),
    words=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=40),
    pauses=st.lists(st.booleans(), min_size=40, max_size=40),
    speeds=st.permutations([0.0, 0.001, 0.004]),
)
def test_three_followers_who_come_and_go_see_the_same(
    service: Running,
    upstream: Upstream,
    cuts: list[list[int]],
    words: list[str],
    pauses: list[bool],
    speeds: list[float],
) -> None:
    steps: list[Any] = []
    for word, pause in zip(words, pauses, strict=False):
        steps.append(piece(word))
        if pause:
            steps.append(0.002)
    upstream.then(Script([*steps, finish(), DONE]))
    task_id = service.client.start()
    seen: list[list[Event]] = [[], [], []]
    followers = [
        threading.Thread(target=_follow_in_cuts, args=(service.url, task_id, each, speed, events))
        for each, speed, events in zip(cuts, speeds, seen, strict=True)
    ]
    for follower in followers:
        follower.start()
    for follower in followers:
        follower.join(within(20))
        assert not follower.is_alive()
    _assert_whole(seen[0], "".join(words))
    for other in seen[1:]:
        assert [(each.id, each.data) for each in other] == [
            (each.id, each.data) for each in seen[0]
        ]


def test_silence_is_broken_by_a_comment(upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(Script([piece("a"), gate, finish(), DONE]))
    with running_service(
        settings_for(openai_base_url=upstream.url, sse_ping_interval=0.05)
    ) as running:
        task_id = running.client.start()
        query = {"taskId": task_id}
        with running.client.http.stream("GET", "/api/tasks/stream", params=query) as stream:
            received = ""
            for chunk in stream.iter_text():
                received += chunk
                if received.count(": keep-alive\n") == 2:
                    gate.open()
        assert '"type":"end"' in received
        assert received.startswith("retry: 1000\n")


def test_open_streams_end_when_the_service_stops_and_resume_is_possible(
    upstream: Upstream,
) -> None:
    gate = Gate()
    upstream.then(Script([piece("half"), gate]))
    with running_service(settings_for(openai_base_url=upstream.url)) as running:
        task_id = running.client.start()

        def stop_in_mid_stream(seen: Seen) -> bool:
            if seen.types[-1] == "content":
                running.service.stop()
            return False

        seen = running.client.events(task_id, until=stop_in_mid_stream)
        # A clean end of the body, not a broken connection, and no end of the task.
        assert seen.text == "half"
        assert "end" not in seen.types
        assert "error" not in seen.types
        eventually(upstream.received[0].gone.is_set)


def test_a_client_that_leaves_costs_nothing(service: Running, upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(Script([piece("a"), gate, finish(), DONE]))
    task_id = service.client.start()
    service.client.events(task_id, until=lambda seen: "content" in seen.types)
    eventually(lambda: "longtask_open_streams 0.0" in service.client.http.get("/metrics").text)
    gate.open()
    assert service.client.wait_for(task_id, "completed")["text"] == "a"


def test_same_text_in_many_pieces(service: Running, upstream: Upstream) -> None:
    words = [f"w{number} " for number in range(3000)]
    upstream.then(Script(answer(*words)))
    task_id = service.client.start()
    seen = service.client.events(task_id)
    _assert_whole(seen.logged, "".join(words))


def test_the_default_script_is_what_it_seems(upstream: Upstream) -> None:
    reply = httpx.post(f"{upstream.url}/chat/completions", json={})
    assert reply.content == b"".join(step for step in DEFAULT.steps if isinstance(step, bytes))
