"""The places of calls: what hosts that hang, and owners who name many of them, leave to others."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.webhooks.resolver import host_key
from application.errors import TooManyWebhooks, WebhookUnreachable
from tests.doubles.receiver import Receiver, receiving
from tests.integration.test_webhook_sender import _hang, sending
from tests.waiting import until, within


def _here(_: str) -> list[str]:
    return ["127.0.0.1"]


@asynccontextmanager
async def _calls(*calls: Any) -> AsyncGenerator[None, None]:
    """Calls that go on meanwhile."""
    tasks = [asyncio.create_task(each) for each in calls]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _url(receiver: Receiver, host: str) -> str:
    return f"http://{host}:{receiver.port}/"


async def test_one_owner_fills_a_share_of_the_places_whatever_hosts_they_name() -> None:
    async with (
        receiving(_hang) as hanging,
        receiving() as receiver,
        sending(look_up=_here, timeout=within(30)) as send,
    ):
        urls = [_url(hanging, f"h{number}.example") for number in range(16)]
        async with _calls(*(send(url, "mallory") for url in urls)):
            await until(lambda: len(hanging.received) == 16)
            with pytest.raises(TooManyWebhooks, match="of one owner"):
                await send(_url(receiver, "another.example"), "mallory")
            for owner in ("alice", None):
                assert await send(_url(receiver, "another.example"), owner) == 200
        assert await send(_url(receiver, "another.example"), "mallory") == 200


async def test_without_owners_the_places_are_bounded_by_host_and_in_all() -> None:
    async with receiving(_hang) as hanging, sending(look_up=_here, timeout=within(30)) as send:
        urls = [_url(hanging, f"h{number % 8}.example") for number in range(64)]
        async with _calls(*map(send, urls)):
            await until(lambda: len(hanging.received) == 64)
            with pytest.raises(TooManyWebhooks):
                await send(_url(hanging, "another.example"))


def test_all_spellings_of_an_address_are_one_host() -> None:
    assert host_key("::FFFF:7f00:1") == host_key("0:0:0:0:0:ffff:127.0.0.1")


async def test_all_spellings_of_a_name_are_one_host() -> None:
    names = ["xn--bcher-kva.example", "xn--bcher-kva.example.", "XN--Bcher-KVA.Example"]
    async with (
        receiving(_hang) as hanging,
        sending(look_up=_here, timeout=within(30)) as send,
        _calls(*(send(_url(hanging, names[each % 3])) for each in range(8))),
    ):
        await until(lambda: len(hanging.received) == 8)
        for name in names:
            with pytest.raises(TooManyWebhooks):
                await send(_url(hanging, name))


async def test_look_ups_that_outlast_their_calls_count_for_their_owner() -> None:
    """Else one owner could have all look-ups hang, however few calls."""
    released = threading.Event()
    asked: list[str] = []

    def look_up(name: str) -> list[str]:
        if name == "receiver.example":
            return ["127.0.0.1"]
        asked.append(name)
        released.wait()
        raise OSError

    async with receiving() as receiver, sending(look_up=look_up, timeout=0.3) as send:
        try:
            calls = [send(f"https://hangs-{number}.example/", "mallory") for number in range(16)]
            found = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(each) for each in found} == {WebhookUnreachable}
            for number in range(16, 80):
                with pytest.raises(TooManyWebhooks):
                    await send(f"https://hangs-{number}.example/", "mallory")
            assert len(asked) == 16
            assert await send(_url(receiver, "receiver.example"), "alice") == 200
        finally:
            released.set()

        async def settled() -> bool:
            try:
                return await send(_url(receiver, "receiver.example"), "mallory") == 200
            except TooManyWebhooks:
                return False

        await until(settled)


HANGING_PROCESS = """
import asyncio, threading
from adapters.webhooks import HttpWebhookSender
from application.errors import WebhookUnreachable
from application.ports import WebhookMessage, WebhookSecret

def look_up(_):
    threading.Event().wait()

async def main():
    sender = HttpWebhookSender("test", allow_private=False, timeout=0.2, look_up=look_up)
    try:
        message = WebhookMessage("evt_1", 1, b"{}")
        await sender.send("https://hangs.example/", message, [WebhookSecret(b"k" * 24)])
    except WebhookUnreachable:
        print("unreachable")
    await sender.aclose()

asyncio.run(main())
"""


def test_a_look_up_that_hangs_does_not_keep_the_process_from_its_end() -> None:
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", HANGING_PROCESS],
        timeout=within(20),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "unreachable\n"
