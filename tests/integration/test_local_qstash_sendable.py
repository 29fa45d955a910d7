"""What no request can carry is refused where it is published, not at its delivery."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.doubles.destination import Destination
from tests.integration.sdk import one, verified
from tests.queue_client import queue_client

LATER = "http://127.0.0.1:1/"
FORWARDED = "Upstash-Forward-X"
FLOW = "Upstash-Flow-Control-Value"


@pytest.fixture(scope="module")
def client(qstash_url: str) -> Iterator[httpx.Client]:
    with queue_client(qstash_url) as client:
        yield client
        client.delete("/v2/messages")


def _refusal(client: httpx.Client, **entry: Any) -> str:
    """Why a batch's message is refused. The one behind it must not be."""
    whole = {"destination": LATER, "headers": {"Upstash-Delay": "1h"}}
    refused, published = client.post("/v2/batch", json=[{**whole, **entry}, whole]).json()
    assert "messageId" in published
    return str(refused["error"])


@pytest.mark.parametrize("character", ["\r", "\n", "\0", "\v", "\x1f", "\x7f"])
@pytest.mark.parametrize(
    "name",
    [
        FORWARDED,
        "Content-Type",
        "Upstash-Label",
        "Upstash-Callback-Forward-X",
        "Upstash-Failure-Callback-Label",
        "Upstash-Flow-Control-Key",
        "Upstash-Workflow-RunId",
        "X",
    ],
)
def test_a_value_with_a_control_character(client: httpx.Client, name: str, character: str) -> None:
    for value in (f"a{character}b", ["a", f"a{character}Upstash-Signature: forged"]):
        told = _refusal(client, headers={name: value})
        assert (name in told, repr(character) in told) == (True, True)


@pytest.mark.parametrize("name", ["Upstash-Forward-X\r\nY", f"{FORWARDED}:", "é", "", "a b"])
def test_a_name_that_is_none(client: httpx.Client, name: str) -> None:
    assert repr(name) in _refusal(client, headers={name: "x"})


@pytest.mark.parametrize("name", ["Upstash-Forward-", "Upstash-Callback-Forward-"])
def test_a_header_without_a_name(client: httpx.Client, name: str) -> None:
    refused = client.post(f"/v2/publish/{LATER}", headers={name: "x"})
    assert (refused.status_code, name.lower() in refused.json()["error"]) == (400, True)


def test_an_address_with_a_control_character(client: httpx.Client) -> None:
    assert "destination" in _refusal(client, destination="http://127.0.0.1:1/\r\n")
    headers = {"Upstash-Callback": "http://127.0.0.1:1/\0"}
    assert "Upstash-Callback" in _refusal(client, headers=headers)


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"Upstash-Delay": "soon"}, "Upstash-Delay"),
        ({"Upstash-Timeout": "٣s"}, "Upstash-Timeout"),
        ({"Upstash-Retries": 1.5}, "Upstash-Retries"),
        ({FLOW: "rate=1e300"}, f"rate of {FLOW}"),
        ({FLOW: "parallelism=1.5"}, f"parallelism of {FLOW}"),
        ({FLOW: "rate=-1"}, f"rate of {FLOW}"),
        ({FLOW: "rate=0"}, f"rate of {FLOW}"),
        ({FLOW: "parallelism=true"}, f"parallelism of {FLOW}"),
        ({FLOW: f"parallelism={'9' * 16}"}, f"parallelism of {FLOW}"),
        ({FLOW: "rate=1,period=-1"}, f"period of {FLOW}"),
        ({FLOW: "rate=1,period=٣"}, f"period of {FLOW}"),
        ({FLOW: "rate=1,period=1e300"}, f"period of {FLOW}"),
        ({FLOW: ""}, FLOW),
        ({"Upstash-Forward-Host": ["a", "b"]}, "Upstash-Forward-Host"),
    ],
)
def test_a_value_that_is_none(client: httpx.Client, headers: Any, named: str) -> None:
    told = _refusal(client, headers={"Upstash-Flow-Control-Key": "k", FLOW: "rate=1", **headers})
    assert named in told


@pytest.mark.parametrize("parallelism", ["1e300", "1.5", "-1", "0", "true", "null", '"2"', "1e15"])
def test_a_parallelism_that_is_none(client: httpx.Client, parallelism: str) -> None:
    queue = f'{{"queueName": "no-queue", "parallelism": {parallelism}}}'
    refused = client.post("/v2/queues", content=queue)
    assert (refused.status_code, "parallelism" in refused.json()["error"]) == (400, True)
    assert client.get("/v2/queues/no-queue").status_code == 404
    if parallelism != "null":
        path = f"/v2/flowControl/k/pin?parallelism={parallelism}"
        assert "parallelism" in client.post(path).json()["error"]
        assert "rate" in client.post(path.replace("parallelism", "rate")).json()["error"]


def test_a_whole_number_of_json_may_have_a_point(client: httpx.Client) -> None:
    queue = '{"queueName": "two", "parallelism": 2.0}'
    assert client.post("/v2/queues", content=queue).status_code == 200
    assert client.get("/v2/queues/two").json()["parallelism"] == 2
    client.delete("/v2/queues/two")


def test_white_space_around_a_value_is_not_sent(
    client: httpx.Client, destination: Destination
) -> None:
    """HTTP has none there. A tab inside is good."""
    headers = {FORWARDED: " a\tb ", "Upstash-Label": " l "}
    batch = [{"destination": f"{destination.url}/trimmed", "headers": headers}]
    client.post("/v2/batch", json=batch)
    assert one(destination, "/trimmed").headers["x"] == "a\tb"


def test_a_delivery_has_one_signature_and_it_is_ours(
    client: httpx.Client, destination: Destination
) -> None:
    """A publisher cannot say what a delivery says of itself: a proxy forwards all headers that it
    was sent, and an attacker may want to deceive a receiver."""
    names = ("Signature", "Message-Id", "Retried", "Caller-Ip", "Schedule-Id", "Topic-Name")
    headers = [(f"Upstash-Forward-Upstash-{name}", "forged") for name in names]
    headers.append(("Upstash-Forward-Upstash-Mine", "kept"))
    url = f"{destination.url}/forged"
    client.post(f"/v2/publish/{url}", headers=headers).raise_for_status()
    delivered = one(destination, "/forged")
    verified(delivered, url)
    assert "forged" not in str(delivered.headers)
    assert delivered.headers["upstash-mine"] == "kept"
