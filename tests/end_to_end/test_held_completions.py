"""Chat completions whose clients wait for the whole answer, hang up, or come again."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.doubles.upstream import Gate, Script, Upstream, answer, piece
from tests.end_to_end.chat_client import ASKED, ask, post, streams_of, task_of
from tests.raw_http import connect
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within


def test_a_held_task_that_is_cancelled(retrying: Running, scripted: Upstream) -> None:
    gate, key = Gate(), {"Idempotency-Key": "cancelled while held"}
    scripted.then(Script([piece("Te"), gate]))
    with ThreadPoolExecutor() as threads:
        held = threads.submit(ask, retrying, streamed=False, extra_headers=key)
        assert gate.reached.wait(within(10))
        retrying.client.http.post(f"/api/tasks/{task_of(retrying, key)}/cancel")
        with pytest.raises(openai.BadRequestError) as raised:
            held.result(within(10))
    assert raised.value.code == "cancelled"


@pytest.mark.parametrize("header", ["cancel", "continue", None])
def test_a_client_that_hangs_up(
    retrying: Running, scripted: Upstream, header: str | None, streamed: bool
) -> None:
    gate, key = Gate(), {"Idempotency-Key": f"hangs up {header} {streamed}"}
    scripted.then(Script([piece("Te"), gate, *answer("xt")]))
    headers = key if header is None else {**key, "X-Longtask-On-Disconnect": header}
    with connect(retrying.url) as connection:
        connection.sendall(post({**ASKED, "stream": streamed}, headers))
        assert gate.reached.wait(within(10))
        eventually(lambda: streams_of(retrying) == 1)
    eventually(lambda: streams_of(retrying) == 0)
    if header == "cancel":
        assert scripted.received[0].gone.wait(within(10))
        with pytest.raises(openai.BadRequestError, match="cancelled"):
            ask(retrying, streamed=False, extra_headers=key)
    else:
        gate.open()
        again = ask(retrying, streamed=False, extra_headers=key)
        assert again.choices[0].message.content == "Text"
    assert len(scripted.received) == 1


def test_the_body_of_a_held_request_is_not_held(
    retrying: Running, scripted: Upstream, streamed: bool
) -> None:
    gate = Gate()
    scripted.then(Script([piece("Te"), gate, *answer("xt")]))
    long = {**ASKED, "messages": [{"role": "user", "content": "x" * 100_000}], "stream": streamed}
    with connect(retrying.url) as connection:
        connection.sendall(post(long, {}))
        assert gate.reached.wait(within(10))
        eventually(lambda: streams_of(retrying) == 1)
        assert retrying.service.container.start_bodies()._held == 0
        gate.open()
        told = b""
        while b"xt" not in told:
            told += connection.recv(65_536)


@pytest.fixture(scope="module")
def silent(shared_upstream: Upstream) -> Iterator[Running]:
    """It writes nothing to a client that waits, which would find out that the client is gone."""
    settings = settings_for(openai_base_url=shared_upstream.url, sse_ping_interval=3_600.0)
    with running_service(settings) as running:
        yield running


def test_a_client_that_hangs_up_at_once(
    silent: Running, scripted: Upstream, streamed: bool
) -> None:
    key = {"Idempotency-Key": f"at once {streamed}"}
    scripted.then(Script([piece("Te"), Gate()]))
    with connect(silent.url) as connection:
        headers = {**key, "X-Longtask-On-Disconnect": "cancel"}
        connection.sendall(post({**ASKED, "stream": streamed}, headers))
    silent.client.wait_for(task_of(silent, key), "cancelled")


def test_a_held_response_is_kept_alive_by_white_space(hurried: Running, scripted: Upstream) -> None:
    gate = Gate()
    scripted.then(Script([piece("Te"), gate, *answer("xt")]))
    url = f"{hurried.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=ASKED, timeout=within(10)) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        task_id = response.headers["x-longtask-task-id"]
        arriving = response.iter_bytes()
        assert (next(arriving) + next(arriving)).strip() == b""
        gate.open()
        completion = ChatCompletion.model_validate_json(b"".join(arriving))
    assert completion.id == f"chatcmpl-{task_id}"
    assert completion.choices[0].message.content == "Text"


def test_a_status_that_comes_too_late_breaks_the_connection_and_comes_with_the_next_try(
    hurried: Running, scripted: Upstream
) -> None:
    gate, key = Gate(), {"Idempotency-Key": "too late"}
    scripted.then(Script([piece("Te"), gate]))
    url = f"{hurried.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=ASKED, headers=key, timeout=within(10)) as response:
        task_id = response.headers["x-longtask-task-id"]
        hurried.client.http.post(f"/api/tasks/{task_id}/cancel")
        with pytest.raises(httpx.TransportError):
            response.read()
    with pytest.raises(openai.BadRequestError, match="cancelled"):
        ask(hurried, streamed=False, extra_headers=key)


def test_a_client_whose_connection_breaks_joins_its_task_by_itself(
    hurried: Running, scripted: Upstream
) -> None:
    gate, key = Gate(), {"Idempotency-Key": "joins by itself"}
    scripted.then(Script([piece("Te"), gate]))
    with ThreadPoolExecutor() as threads:
        held = threads.submit(ask, hurried, streamed=False, extra_headers=key)
        assert gate.reached.wait(within(10))
        task_id = task_of(hurried, key)
        hurried.client.http.post(f"/api/tasks/{task_id}/cancel")
        with pytest.raises(openai.BadRequestError, match="cancelled"):
            held.result(within(10))
    assert len(scripted.received) == 1


def test_a_process_that_stops_cancels_nothing_and_breaks_off(
    redis_url: str, shared_upstream: Upstream, scripted: Upstream
) -> None:
    gate, key = Gate(), {"Idempotency-Key": "stops", "X-Longtask-On-Disconnect": "cancel"}
    scripted.then(Script([piece("Te"), gate]))
    settings = settings_for(
        redis_url=redis_url,
        openai_base_url=shared_upstream.url,
        sse_ping_interval=0.1,
        grace=0.1,
    )
    with ThreadPoolExecutor() as threads:
        with running_service(settings) as stopping:
            url = f"{stopping.url}/v1/chat/completions"
            held = threads.submit(httpx.post, url, json=ASKED, headers=key, timeout=within(10))
            assert gate.reached.wait(within(10))
            task_id = task_of(stopping, key)
        with pytest.raises(httpx.TransportError):
            held.result(within(10))
    with running_service(settings) as next_one:
        assert next_one.client.record(task_id)["status"] in ("pending", "running", "completed")
