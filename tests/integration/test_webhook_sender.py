"""The sender of webhooks against real receivers, those that mean harm among them."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
import trustme
from standardwebhooks import Webhook

from adapters.webhooks import HttpWebhookSender, new_secret, parse_secret
from application.errors import TooManyWebhooks, WebhookError, WebhookRefused, WebhookUnreachable
from application.ports import WebhookMessage
from tests.doubles.receiver import receiving, responding
from tests.waiting import until, within

SECRET, NEXT_SECRET = new_secret(), new_secret()
EVENT = {
    "id": "evt_task_1",
    "object": "event",
    "created_at": 1,
    "type": "response.completed",
    "data": {"id": "resp_task_1", "said": "é"},
}


@asynccontextmanager
async def sending(
    *, allow_private: bool = True, timeout: float | None = None, **given: Any
) -> AsyncGenerator[Callable[..., Coroutine[None, None, int]], None]:
    sender = HttpWebhookSender(
        "Longtask/test", allow_private=allow_private, timeout=timeout or within(10), **given
    )

    async def send(url: str, owner: str | None = None) -> int:
        body = json.dumps(EVENT, ensure_ascii=False).encode()
        message = WebhookMessage("evt_task_1", int(time.time()), body)
        secrets = [parse_secret(SECRET), parse_secret(NEXT_SECRET)]
        return await sender.send(url, message, secrets, owner)

    try:
        yield send
    finally:
        await sender.aclose()


async def test_official_libraries_verify_a_message_with_either_secret() -> None:
    async with receiving() as receiver, sending() as send:
        assert await send(receiver.url) == 200
    (received,) = receiver.received
    assert received.head == "POST /hook?of=longtask HTTP/1.1"
    assert received.headers["user-agent"] == "Longtask/test"
    for secret in (SECRET, NEXT_SECRET):
        assert Webhook(secret).verify(received.body, received.headers) == EVENT
        client = openai.OpenAI(api_key="none", webhook_secret=secret)
        event = client.webhooks.unwrap(received.body, received.headers)
        assert event.type == "response.completed"
        assert event.data.id == "resp_task_1"
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(received.body, received.headers, secret=new_secret())


@pytest.mark.parametrize("status", [204, 404, 410, 500])
async def test_the_status_of_the_receiver_is_returned(status: int) -> None:
    respond = responding(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n")
    async with receiving(respond) as receiver, sending() as send:
        assert await send(receiver.url) == status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with receiving() as elsewhere:
        respond = responding(f"HTTP/1.1 {status} There\r\nLocation: {elsewhere.url}\r\n\r\n")
        async with receiving(respond) as receiver, sending() as send:
            assert await send(receiver.url) == status
        assert elsewhere.connections == 0


async def _endless(writer: asyncio.StreamWriter, text: bytes, pause: float | None = None) -> None:
    while True:
        writer.write(text)
        await writer.drain()
        if pause is not None:
            await asyncio.sleep(pause)


async def test_of_a_gigabyte_a_few_kibibytes_are_read() -> None:
    written = 0

    async def gigabyte(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000000000\r\n\r\n"
        )
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            written += 65_536

    async with receiving(gigabyte) as receiver, sending() as send:
        assert await send(receiver.url) == 200
        assert written < 32 * 1024 * 1024  # what the buffers of two sockets hold, generously


async def test_a_body_that_drips_holds_nothing_up() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\n")
        await _endless(writer, b"x", 0.05)

    async with receiving(drip) as receiver, sending(timeout=within(30)) as send:
        async with asyncio.timeout(within(10)):
            assert await send(receiver.url) == 202


async def _hang(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _drip_head(writer: asyncio.StreamWriter) -> None:
    await _endless(writer, b"HTTP/1.1 100 Continue\r\n\r\n", 0.01)


@pytest.mark.parametrize("respond", [_hang, _drip_head])
async def test_a_receiver_that_does_not_come_to_a_status_is_given_up(respond: Any) -> None:
    async with receiving(respond) as receiver, sending(timeout=0.5) as send:
        with pytest.raises(WebhookUnreachable, match=r"no response within 0\.5 seconds"):
            await send(receiver.url)


async def _long_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    await _endless(writer, b"X-Header: " + b"x" * 1000 + b"\r\n")


async def _nothing(_: asyncio.StreamWriter) -> None:
    return


@pytest.mark.parametrize("respond", [_long_head, _nothing, responding("SSH-2.0-OpenSSH\r\n")])
async def test_what_is_not_http_counts_as_no_response(respond: Any) -> None:
    async with receiving(respond) as receiver, sending() as send:
        with pytest.raises(WebhookUnreachable, match=r"no response in HTTP|no connection"):
            await send(receiver.url)


@pytest.mark.parametrize("status", ["000", "099", "600", "999"])
async def test_a_status_that_http_does_not_have_is_no_response(status: str) -> None:
    respond = responding(f"HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\n\r\n")
    async with receiving(respond) as receiver, sending() as send:
        with pytest.raises(WebhookUnreachable, match="no status of HTTP"):
            await send(receiver.url)


async def test_what_was_queued_while_private_targets_were_allowed_is_refused_after() -> None:
    async with receiving() as receiver, sending(allow_private=False, look_up=_public) as send:
        for url, reason in (
            ("http://receiver.example/", "must begin with https://"),
            ("https://user:pass@receiver.example/", "user name"),
            ("https://receiver.example/#x", "fragment"),
        ):
            with pytest.raises(WebhookRefused, match=reason):
                await send(url)
        assert receiver.connections == 0


def _public(_: str) -> list[str]:
    raise AssertionError("nothing is looked up")


async def test_a_port_where_nobody_listens() -> None:
    async with receiving() as receiver:
        pass
    async with sending() as send:
        with pytest.raises(WebhookUnreachable, match="no connection"):
            await send(receiver.url)


HOSTS = ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "0.0.0.0", "2130706433", "127.1", "0x7f.1"]  # noqa: S104


@pytest.mark.parametrize("host", HOSTS)
async def test_no_spelling_leads_to_this_machine(host: str) -> None:
    async with receiving() as receiver, sending(allow_private=False) as send:
        with pytest.raises(WebhookError):
            await send(f"https://{host}:{receiver.port}/")
        assert receiver.connections == 0


@pytest.mark.parametrize("host", ["xn--", "xn--a", "[::1]a", "[::1]]"])
async def test_a_host_that_only_python_takes_for_one_is_refused(host: str) -> None:
    async with sending() as send:
        with pytest.raises(WebhookRefused, match="URL is not valid"):
            await send(f"https://{host}/")


async def test_a_name_is_judged_by_what_it_resolves_to_at_that_moment() -> None:
    """A name server that answers a check with one address and the connection with another."""
    answers = [["192.0.2.1"], ["127.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["::ffff:127.0.0.1"]]
    asked: list[str] = []

    def look_up(name: str) -> list[str]:
        asked.append(name)
        return answers[len(asked) - 1]

    async with receiving() as receiver, sending(allow_private=False, look_up=look_up) as send:
        for number in range(1, len(answers) + 1):
            with pytest.raises(WebhookRefused, match="not on the internet"):
                await send(f"https://rebinding.example:{receiver.port}/")
            assert len(asked) == number  # so there is no check that a second answer could evade
        assert receiver.connections == 0


async def test_the_private_one_of_several_addresses_is_not_called() -> None:
    def look_up(_: str) -> list[str]:
        return ["2001:200::1", "127.0.0.1"]  # the first is one that leads nowhere from here

    async with (
        receiving() as receiver,
        sending(allow_private=False, look_up=look_up, timeout=2) as send,
    ):
        with pytest.raises(WebhookError):
            await send(f"https://several.example:{receiver.port}/")
        assert receiver.connections == 0


async def test_the_name_in_the_certificate_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    server, trusted = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    )
    authority.issue_cert("receiver.example").configure_cert(server)
    authority.configure_trust(trusted)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # not used

    def here(_: str) -> list[str]:
        return ["127.0.0.1"]

    async with receiving(tls=server) as receiver:
        async with sending(look_up=here, trusted=trusted) as send:
            assert await send(f"https://receiver.example:{receiver.port}/") == 200
            with pytest.raises(WebhookUnreachable, match="valid certificate"):
                await send(f"https://other.example:{receiver.port}/")
        async with sending(look_up=here) as send:
            with pytest.raises(WebhookUnreachable, match="valid certificate"):
                await send(f"https://receiver.example:{receiver.port}/")
        assert len(receiver.received) == 1


async def test_receivers_that_hang_leave_room_for_others() -> None:
    async with receiving(_hang) as hanging, receiving() as receiver, sending() as send:
        waiting = [asyncio.create_task(send(hanging.url)) for _ in range(8)]
        await until(lambda: len(hanging.received) == 8)
        with pytest.raises(TooManyWebhooks):
            await send(hanging.url)
        assert await send(receiver.url.replace("127.0.0.1", "localhost")) == 200
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        waiting = [asyncio.create_task(send(hanging.url))]
        await until(lambda: len(hanging.received) == 9)
        waiting[0].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
