"""`longtask serve`, killed and stopped in the middle of an answer: where the model can go on from
its text, nothing is taken back, and nothing is said twice."""

import signal
from pathlib import Path

import pytest

from tests.doubles.prefilling_upstream import PrefillingUpstream
from tests.doubles.upstream import Gate, Script, Upstream, piece
from tests.end_to_end.restarting import Home, Reader
from tests.running import Client, Seen
from tests.waiting import eventually, within

pytestmark = pytest.mark.soak  # five processes

WHOLE = "One two three four five six seven eight nine ten."


def _resumed(seen: Seen) -> list[bool]:
    """Whether each of the attempts goes on with the text of the last one."""
    told = [event.data for event in seen.logged if event.type == "status"]
    return [each.get("resumed", False) for each in told if each["data"] == "running"]


def test_a_text_goes_on_after_a_kill_and_after_a_stop(tmp_path: Path) -> None:
    model = PrefillingUpstream()
    model.whole = WHOLE
    model.then(Script([piece("One two"), Gate()]), Script([piece(" three four"), Gate()]))
    with model.running():
        home = Home(tmp_path, model, LONGTASK_PREFILL="vllm")
        with home.serving() as process, Client(home.url) as client:
            reader = Reader(home.url, client.start("Count.", maxTokens=100))
            reader.until_text("One two")
            process.kill()
        with home.serving() as process:
            reader.until_text("One two three four")
            process.send_signal(signal.SIGINT)
            assert process.wait(within(20)) == 0
        with home.serving(), Client(home.url) as client:
            seen, record = reader.whole(), client.record(reader.task_id)
    assert seen.text == record["text"] == WHOLE
    assert _resumed(seen) == [False, True, True]
    bodies = [each.body for each in model.received]
    sent = [(each["messages"][-1]["content"], each["max_tokens"]) for each in bodies]
    assert sent == [("Count.", 100), ("One two", 98), ("One two three four", 96)]
    assert record["usage"]["estimated"]
    assert record["usage"]["completionTokens"] == 4 + 6  # estimated, and counted at last


def test_the_demo_goes_on_without_a_setting(tmp_path: Path) -> None:
    home = Home(tmp_path, Upstream(), OPENAI_BASE_URL="")
    with home.serving(LONGTASK_DEMO_SPEED="50") as process, Client(home.url) as client:
        reader = Reader(home.url, client.start())
        eventually(lambda: len(reader.seen.text) > 100)
        process.kill()
    with home.serving(LONGTASK_DEMO_SPEED="0"), Client(home.url) as client:
        seen = reader.whole()
        other = client.wait_for(client.start(), "completed")
    assert _resumed(seen) == [False, True]
    assert seen.text == other["text"]
