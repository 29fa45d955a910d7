"""What comes from outside, made up by hypothesis: deliveries signed and not, event ids, and bytes
that may or may not be HTTP. Whatever it is, it is answered in order and nothing breaks. (The parser
of the model's stream is fuzzed in tests/unit/test_chunks.py.)"""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrypoints.local_qstash.sending import sign
from tests.running import Running, running_service, settings_for
from tests.sizes import sizes
from tests.waiting import within

EXAMPLES = pytest.mark.parametrize("examples", sizes(dose=20, full=200))
"""One service for all examples of a test: what one example breaks, the next one finds."""


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Running]:
    with running_service(settings_for(qstash_retries=0)) as running:
        yield running


LATIN = st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
FIELDS = {
    "v": 1,
    "taskId": "task_1_fuzzed",
    "createdAt": 1,
    "maxRetries": 0,
    "owner": "alice",
    "request": {"v": 1, "model": "m", "max_tokens": 5, "temperature": 0, "prompt": "Hi."},
}
BENEATH = ("v", "model", "max_tokens", "temperature", "prompt", "messages", "system", "metadata")


@st.composite
def nearly_messages(draw: st.DrawFn) -> bytes:
    """A message of ours with one thing changed, taken away or added, or cut off."""
    message: dict[str, Any] = json.loads(json.dumps(FIELDS))
    place = message if draw(st.booleans()) else message["request"]
    names = tuple(FIELDS) if place is message else BENEATH
    name = draw(st.sampled_from(names) | st.text(max_size=9))
    if draw(st.booleans()):
        place[name] = draw(json_values)
    else:
        place.pop(name, None)
    whole = json.dumps(message).encode()
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole


def post(service: Running, path: str, body: bytes, signature: str | None) -> httpx.Response:
    headers = {} if signature is None else {"Upstash-Signature": signature}
    return service.client.http.post(path, content=body, headers=headers)


@pytest.mark.parametrize("path", ["/api/qstash/webhook", "/api/qstash/failure"])
@EXAMPLES
def test_whatever_is_signed_is_answered(fuzzed: Running, path: str, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(body=st.binary(max_size=200) | nearly_messages())
    def answered(body: bytes) -> None:
        signature = sign(fuzzed.queue.current_key, fuzzed.url + path, body, int(time.time()))
        answer = post(fuzzed, path, body, signature)
        if answer.status_code == 489:
            assert answer.headers["Upstash-NonRetryable-Error"] == "true"
        elif answer.status_code == 503:  # of another version
            assert answer.json()["type"] == "urn:longtask:problem:unreadable-delivery"
        else:
            # 401: the SDK signs and checks text only.
            assert answer.status_code in (200, 401), answer.text

    answered()


@st.composite
def nearly_starts(draw: st.DrawFn) -> Any:
    """The body of a start, some of its fields of any value."""
    part = st.fixed_dictionaries(
        {"type": st.sampled_from(["text", "image_url", "file"])},
        optional=dict.fromkeys(("text", "image_url", "file"), json_values),
    )
    message = st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool"]) | json_values},
        optional={
            "content": st.lists(part | json_values, max_size=2) | json_values,
            **dict.fromkeys(("tool_calls", "tool_call_id", "refusal"), json_values),
        },
    )
    names = ("system", "model", "maxTokens", "temperature", "options", "previousTaskId", "metadata")
    body = st.fixed_dictionaries(
        {},
        optional={
            "prompt": st.just("Hi.") | json_values,
            "messages": st.lists(message, max_size=2) | json_values,
            **dict.fromkeys(names, json_values),
        },
    )
    return draw(body | json_values)


@EXAMPLES
def test_any_json_starts_a_task_or_is_refused(fuzzed: Running, examples: int) -> None:
    @settings(max_examples=5 * examples, deadline=None)
    @given(body=nearly_starts(), key=st.none() | st.just("x" * 300) | st.just("key"))
    def answered(body: Any, key: str | None) -> None:
        headers = {"Content-Type": "application/json"}
        answer = fuzzed.client.http.post(
            "/api/tasks/start",
            content=json.dumps(body).encode(),
            headers=headers if key is None else {**headers, "Idempotency-Key": key},
        )
        assert answer.status_code in (202, 400, 422), answer.text
        if answer.status_code != 202:
            assert answer.json()["errors"]

    answered()


SIGNATURES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60) | st.builds(
    ".".join, st.lists(st.text("abcXYZ019_-=", max_size=20), min_size=3, max_size=3)
)


@EXAMPLES
def test_no_signature_made_up_is_taken(fuzzed: Running, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(body=st.binary(max_size=50) | st.just(json.dumps(FIELDS).encode()), signature=SIGNATURES)
    def refused(body: bytes, signature: str) -> None:
        answer = post(fuzzed, "/api/qstash/webhook", body, signature)
        assert answer.status_code == 401
        assert answer.json()["type"] == "urn:longtask:problem:bad-signature"

    refused()


EVENT_IDS = st.text(LATIN, max_size=80) | st.from_regex(
    r"[A-Za-z0-9]{1,10}-[0-9]{1,18}", fullmatch=True
)


@EXAMPLES
def test_any_event_id_gives_the_log_or_a_refusal(fuzzed: Running, examples: int) -> None:
    task = fuzzed.client.start()
    fuzzed.client.wait_for(task, "completed")

    @settings(max_examples=examples, deadline=None)
    @given(header=EVENT_IDS, query=st.text(max_size=40) | st.none())
    def given_the_log_or_refused(header: str, query: str | None) -> None:
        parameters = {"taskId": task} if query is None else {"taskId": task, "lastEventId": query}
        answer = fuzzed.client.http.get(
            "/api/tasks/stream",
            params=parameters,
            headers={b"Last-Event-ID": header.encode("latin-1")},
        )
        if answer.status_code == 400:
            assert answer.json()["errors"][0]["field"] in ("Last-Event-ID", "lastEventId")
            return
        assert answer.status_code == 200
        # No client guesses an epoch: one that comes with another is given all of it.
        assert answer.text.count('"type":"end"') == 1
        assert answer.text.count('"data":"pending"') == 1

    given_the_log_or_refused()


NAMES = st.sampled_from(
    [
        "status",
        "model",
        "metadata",
        "metadata[a]",
        "createdAfter",
        "createdBefore",
        "limit",
        "after",
    ]
) | st.text(max_size=9)
VALUES = st.text(max_size=40) | st.sampled_from(
    ["running", "completed,failed", "1", "100", "1.a", "2026-11-29T17:46:54+01:00", "9" * 15]
)


@EXAMPLES
def test_any_query_lists_tasks_or_is_refused(fuzzed: Running, examples: int) -> None:
    @settings(max_examples=5 * examples, deadline=None)
    @given(query=st.lists(st.tuples(NAMES, VALUES), max_size=5))
    def listed_or_refused(query: list[tuple[str, str]]) -> None:
        answer = fuzzed.client.http.get("/api/tasks", params=tuple(query))
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 400:
            assert answer.json()["errors"]

    listed_or_refused()


PARTS = st.binary(max_size=60) | st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /api/tasks/start HTTP/1.1\r\nHost: localhost\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"\r\n",
        b"5\r\nhello\r\n",
        b"ffffffffffffffff\r\n",
        b"\x00",
    ]
)


@EXAMPLES
def test_bytes_that_may_not_be_http_harm_no_other_client(fuzzed: Running, examples: int) -> None:
    url = httpx.URL(fuzzed.url)

    @settings(max_examples=examples, deadline=None)
    @given(parts=st.lists(PARTS, max_size=6))
    def harmless(parts: list[bytes]) -> None:
        with (
            socket.create_connection((url.host, url.port or 80), timeout=within(10)) as connection,
            contextlib.suppress(ConnectionError),
        ):
            connection.sendall(b"".join(parts))
            connection.shutdown(socket.SHUT_WR)
            while received := connection.recv(65536):
                assert b"HTTP/1.1 500" not in received
        assert fuzzed.client.http.get("/healthz").status_code == 200

    harmless()
