"""The headers of a delivery, and those of a publish that are repeated."""

import httpx

from adapters.qstash import DEVELOPMENT
from tests.doubles.destination import Destination
from tests.integration.sdk import one
from tests.waiting import eventually

TOKEN = ("Authorization", f"Bearer {DEVELOPMENT.token}")
REPEATED = [
    TOKEN,
    ("Upstash-Forward-X", "1"),
    ("Upstash-Forward-x", "2"),
    ("Upstash-Label", "a,b"),
    ("Upstash-Label", "c"),
    ("Upstash-Callback-Forward-Y", "3"),
    ("Upstash-Callback-Forward-Y", "4"),
]


def test_a_delivery_says_from_where_it_comes(qstash_url: str, destination: Destination) -> None:
    url = f"{qstash_url}/v2/publish/{destination.url}"
    httpx.post(f"{url}/plain", headers=[TOKEN])
    delivered = one(destination, "/plain")
    assert delivered.headers["user-agent"] == "Upstash-QStash"
    assert delivered.headers["upstash-caller-ip"] == "127.0.0.1"
    httpx.post(f"{url}/own", headers=[TOKEN, ("Upstash-Forward-User-Agent", "mine")])
    assert one(destination, "/own").headers["user-agent"] == "mine"


def test_a_repeated_header_keeps_all_its_values(qstash_url: str, destination: Destination) -> None:
    callback = ("Upstash-Callback", f"{destination.url}/callback")
    httpx.post(f"{qstash_url}/v2/publish/{destination.url}/repeated", headers=[*REPEATED, callback])
    assert one(destination, "/repeated").headers["x"] == "1, 2"
    assert one(destination, "/callback").headers["y"] == "3, 4"


def test_a_repeated_label_is_several_labels(qstash_url: str) -> None:
    headers = [*REPEATED, ("Upstash-Delay", "1h")]
    published = httpx.post(f"{qstash_url}/v2/publish/http://127.0.0.1:1/", headers=headers)
    shown = httpx.get(
        f"{qstash_url}/v2/messages/{published.json()['messageId']}", headers=[TOKEN]
    ).json()
    assert shown["label"] == "a"
    assert shown["labels"] == ["a", "b", "c"]
    assert shown["header"] == {"X": ["1", "2"]}


def test_a_header_of_a_batch_may_be_a_list(qstash_url: str, destination: Destination) -> None:
    message = {
        "destination": f"{destination.url}/batch",
        "headers": {"Upstash-Forward-X": ["1", "2"], "Upstash-Retries": "0"},
    }
    httpx.post(f"{qstash_url}/v2/batch", headers=[TOKEN], json=[message])
    eventually(lambda: destination.at("/batch"))
    assert one(destination, "/batch").headers["x"] == "1, 2"


def test_bytes_beyond_ascii_are_forwarded_as_they_are(
    qstash_url: str, destination: Destination
) -> None:
    sent = "Zoë €".encode()
    url = f"{qstash_url}/v2/publish/{destination.url}"
    token = TOKEN[0].encode(), TOKEN[1].encode()
    httpx.post(f"{url}/bytes", headers=[token, (b"Upstash-Forward-X", sent)])
    assert one(destination, "/bytes").headers["x"].encode("latin-1") == sent
    message = {"destination": f"{destination.url}/text", "headers": {"Upstash-Forward-X": "日本"}}
    httpx.post(f"{qstash_url}/v2/batch", headers=[TOKEN], json=[message])
    assert one(destination, "/text").headers["x"].encode("latin-1").decode() == "日本"


def test_headers_that_tell_of_another_body_are_not_forwarded(
    qstash_url: str, destination: Destination
) -> None:
    """As a proxy sends them that forwards all headers of its own request."""
    names = {"Content-Length": "3", "Transfer-Encoding": "chunked"}
    headers = [TOKEN, *((f"Upstash-Forward-{name}", value) for name, value in names.items())]
    url = f"{qstash_url}/v2/publish/{destination.url}/framing"
    httpx.post(url, headers=headers, content=b"hello")
    delivered = one(destination, "/framing")
    assert (delivered.body, delivered.headers["content-length"]) == (b"hello", "5")
    assert "transfer-encoding" not in delivered.headers
