"""The sender of webhooks and names whose look-ups hang."""

import asyncio
import threading

import pytest

from application.errors import TooManyWebhooks, WebhookUnreachable
from tests.doubles.receiver import receiving
from tests.integration.test_webhook_sender import sending
from tests.waiting import within


async def test_name_servers_that_hang_hold_up_no_other_look_ups() -> None:
    released = threading.Event()

    def look_up(_: str) -> list[str]:
        released.wait()
        raise OSError

    async with sending(look_up=look_up, timeout=0.3) as send:
        try:
            urls = [f"https://hangs-{number}.example/" for number in range(40)]
            found = await asyncio.gather(*map(send, urls), return_exceptions=True)
            assert {type(each) for each in found} == {WebhookUnreachable}
            async with asyncio.timeout(within(5)):
                await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        finally:
            released.set()


async def test_a_name_that_hangs_leaves_room_for_other_webhooks() -> None:
    """Also when its look-ups outlast the calls that asked for them."""
    released = threading.Event()
    hanging: list[str] = []

    def look_up(name: str) -> list[str]:
        if name == "receiver.example":
            return ["127.0.0.1"]
        hanging.append(name)
        released.wait()
        raise OSError

    async with receiving() as receiver, sending(look_up=look_up, timeout=0.3) as send:
        try:
            for _ in range(3):
                calls = [send("https://hangs.example/") for _ in range(8)]
                found = await asyncio.gather(*calls, return_exceptions=True)
                assert {type(each) for each in found} == {WebhookUnreachable}
            assert hanging == ["hangs.example"]
            assert await send(f"http://receiver.example:{receiver.port}/") == 200
        finally:
            released.set()


async def test_a_webhook_waits_in_the_queue_while_too_many_names_hang() -> None:
    released = threading.Event()

    def look_up(_: str) -> list[str]:
        released.wait()
        return ["127.0.0.1"]

    async with receiving() as receiver, sending(look_up=look_up, timeout=0.3) as send:
        try:
            for turn in range(2):
                calls = [send(f"https://hangs-{turn}-{each}.example/") for each in range(32)]
                await asyncio.gather(*calls, return_exceptions=True)
            with pytest.raises(TooManyWebhooks):  # not an attempt that has failed
                await send(f"http://receiver.example:{receiver.port}/")
        finally:
            released.set()


async def test_a_name_that_does_not_exist() -> None:
    def look_up(_: str) -> list[str]:
        raise OSError

    async with sending(look_up=look_up) as send:
        with pytest.raises(WebhookUnreachable, match="does not resolve"):
            await send("https://nowhere.example/")
