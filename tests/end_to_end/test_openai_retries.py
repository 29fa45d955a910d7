"""openai-python sends a request again when its connection breaks or when it has waited for long.
The service takes it up where it was: nothing is paid for twice."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import httpx2
import pytest
from openai import APIConnectionError, BadRequestError, DefaultHttpxClient, OpenAI
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.doubles.upstream import DONE, USAGE, Gate, Script, Upstream, finish, piece
from tests.end_to_end.openai_client import openai_client
from tests.running import Running, running_service, settings_for
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually, within

CHAT: Any = {"model": "m", "messages": [{"role": "user", "content": "Hi."}]}
RESPONSE: Any = {"model": "m", "input": "Hi."}


@pytest.fixture(scope="module")
def impatient(shared_upstream: Upstream) -> Iterator[Running]:
    """It sends white space every tenth of a second."""
    settings = settings_for(openai_base_url=shared_upstream.url, sse_ping_interval=0.1)
    with running_service(settings) as running:
        yield running


class Sent:
    """The requests that a client sends, by the count of its retries, and the statuses that it has
    got: each as soon as the head of a response is there."""

    def __init__(self) -> None:
        self.counts: list[str] = []
        self.statuses: list[int] = []

    def note(self, request: httpx2.Request) -> None:
        self.counts.append(request.headers["x-stainless-retry-count"])

    def note_status(self, response: httpx2.Response) -> None:
        self.statuses.append(response.status_code)

    @contextmanager
    def by(self, url: str, **options: Any) -> Iterator[OpenAI]:
        hooks: dict[str, Any] = {"request": [self.note], "response": [self.note_status]}
        http_client = DefaultHttpxClient(event_hooks=hooks)
        with openai_client(url, max_retries=2, http_client=http_client, **options) as client:
            yield client


def _gated() -> tuple[Gate, Script]:
    gate = Gate()
    return gate, Script([piece("Hel"), gate, piece("lo."), finish(), USAGE, DONE])


@pytest.mark.parametrize("face", ["responses", "chat"])
def test_a_broken_connection_costs_nothing(
    retrying: Running, scripted: Upstream, face: str
) -> None:
    gate, script = _gated()
    scripted.then(script)
    sent, proxy = Sent(), _proxy_of(retrying)
    with proxy.running(), sent.by(proxy.url) as client, ThreadPoolExecutor() as threads:
        waiting = threads.submit(_ask, client, face)
        assert gate.reached.wait(within(10))
        proxy.cut()
        eventually(lambda: sent.counts == ["0", "1"])
        gate.open()
        assert waiting.result(within(20)) == "Hello."
    assert len(scripted.received) == 1


@pytest.mark.parametrize("face", ["responses", "chat"])
def test_a_client_that_has_waited_for_long_asks_again(
    retrying: Running, scripted: Upstream, face: str
) -> None:
    gate, script = _gated()
    scripted.then(script)
    sent = Sent()
    options = {"timeout": httpx2.Timeout(30.0, read=1.0)}
    with sent.by(retrying.url, **options) as client, ThreadPoolExecutor() as threads:
        waiting = threads.submit(_ask, client, face)
        eventually(lambda: sent.counts == ["0", "1"])
        gate.open()
        assert waiting.result(within(20)) == "Hello."
    assert len(scripted.received) == 1


def _ask(client: OpenAI, face: str) -> str | None:
    if face == "responses":
        return cast(Response, client.responses.create(**RESPONSE)).output_text
    return cast(ChatCompletion, client.chat.completions.create(**CHAT)).choices[0].message.content


@pytest.mark.soak
@pytest.mark.parametrize("face", ["responses", "chat"])
def test_white_space_keeps_a_client_waiting(
    impatient: Running, scripted: Upstream, face: str
) -> None:
    """The answer takes three times as long as the client waits for a byte."""
    scripted.then(Script([piece("Hel"), 3.0, piece("lo."), finish(), USAGE, DONE]))
    sent = Sent()
    with sent.by(impatient.url, timeout=httpx2.Timeout(30.0, read=1.0)) as client:
        assert _ask(client, face) == "Hello."
    assert sent.counts == ["0"]


def test_a_client_that_has_been_kept_waiting_is_told_of_the_cancellation(
    impatient: Running, scripted: Upstream
) -> None:
    """There is no status to tell it any more. So the connection breaks, and it asks again."""
    scripted.then(Script([piece("Hel"), Gate()]))
    sent = Sent()
    with (
        sent.by(impatient.url) as client,
        openai_client(impatient) as another,
        ThreadPoolExecutor() as threads,
    ):
        keyed = {**RESPONSE, "extra_headers": {"Idempotency-Key": "cancelled under white space"}}
        with another.responses.create(**keyed, stream=True) as stream:
            begun = next(stream).response
        eventually(lambda: scripted.received)
        waiting = threads.submit(lambda: client.responses.create(**keyed))
        eventually(lambda: sent.statuses == [200])
        another.responses.cancel(begun.id)
        with pytest.raises(BadRequestError) as raised:
            waiting.result(within(20))
    assert raised.value.code == "cancelled"
    assert sent.counts == ["0", "1"]
    assert len(scripted.received) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_background_response_is_begun_once(
    retrying: Running, scripted: Upstream, stream: bool
) -> None:
    """The response to the first request never arrives."""
    proxy, sent = _proxy_of(retrying), Sent()
    with proxy.running(), sent.by(proxy.url) as client, ThreadPoolExecutor() as threads:
        proxy.delay = 0.5
        waiting = threads.submit(lambda: _begin(client, stream=stream))
        eventually(lambda: scripted.received)
        proxy.cut()
        response_id = waiting.result(within(20))
    with openai_client(retrying) as client:
        eventually(lambda: client.responses.retrieve(response_id).status == "completed")
    assert sent.counts == ["0", "1"]
    assert len(scripted.received) == 1


def _begin(client: OpenAI, *, stream: bool) -> str:
    """Return the id of a new response in the background."""
    asked: Any = {**RESPONSE, "background": True}
    if not stream:
        return cast(Response, client.responses.create(**asked)).id
    with client.responses.create(**asked, stream=True) as events:
        return cast(str, next(events).response.id)


def test_a_stream_that_breaks_is_taken_up_where_it_broke(
    retrying: Running, scripted: Upstream
) -> None:
    gate, script = _gated()
    scripted.then(script)
    proxy = _proxy_of(retrying)
    seen: list[Any] = []
    with proxy.running(), openai_client(proxy.url) as client:
        asked: Any = {**RESPONSE, "background": True, "stream": True}
        with client.responses.create(**asked) as stream:
            seen += _until_delta(stream)
            proxy.cut()
            with pytest.raises(APIConnectionError):
                next(stream)
        gate.open()
        begun, behind = seen[0].response.id, seen[-1].sequence_number
        with client.responses.retrieve(begun, stream=True, starting_after=behind) as stream:
            seen += list(stream)
        with client.responses.retrieve(begun, stream=True) as stream:
            assert [each.to_dict() for each in stream] == [each.to_dict() for each in seen]
    assert seen[-1].response.output_text == "Hello."


def _until_delta(stream: Iterator[Any]) -> Iterator[Any]:
    for event in stream:
        yield event
        if event.type == "response.output_text.delta":
            return


def _proxy_of(service: Running) -> TcpProxy:
    return TcpProxy(int(service.url.rpartition(":")[2]))
