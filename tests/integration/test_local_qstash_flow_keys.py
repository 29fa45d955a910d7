"""What clients of the local QStash see of flow-control keys by calls that the SDK has not."""

from tests.queue_client import queue_client


def test_keys_are_listed_and_searched(qstash_url: str) -> None:
    """Lists of keys, and the messages that have none."""
    with queue_client(qstash_url) as client:
        for key in ("first-key", "second-key"):
            client.post(f"/v2/flowControl/{key}/pin?parallelism=2").raise_for_status()
        listed = client.get("/v2/flowControl", params={"search": "nd-k"}).json()
        assert [each["flowControlKey"] for each in listed] == ["second-key"]
        assert {"first-key", "second-key"} <= {
            each["flowControlKey"] for each in client.get("/v2/flowControl").json()
        }
        refused = client.post("/v2/flowControl/$/pause")
        assert (refused.status_code, "$" in refused.json()["error"]) == (400, True)
        for key in ("first-key", "second-key"):
            unpinned = client.post(f"/v2/flowControl/{key}/unpin?parallelism=true")
            assert unpinned.status_code == 200
            assert client.get(f"/v2/flowControl/{key}").json()["parallelismMax"] == 2


def test_a_message_with_a_parallelism_alone_is_shown_with_a_period(qstash_url: str) -> None:
    """As QStash shows it."""
    flow = {"Upstash-Flow-Control-Key": "alone", "Upstash-Flow-Control-Value": "parallelism=2"}
    with queue_client(qstash_url) as client:
        headers = {"Upstash-Delay": "1h", **flow}
        published = client.post("/v2/publish/http://127.0.0.1:1/", headers=headers).json()
        shown = client.get(f"/v2/messages/{published['messageId']}").json()
    assert (shown["parallelism"], shown.get("rate"), shown["period"]) == (2, None, 1)
