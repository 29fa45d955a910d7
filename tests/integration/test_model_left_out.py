"""What an answer holds and a task does not carry is logged by its name, once for each model."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from adapters.openai import OpenAIModel
from adapters.openai.oddities import NAMES_LIMIT
from application.ports import Finished
from tests.builders import REQUEST
from tests.doubles.model import text_of
from tests.doubles.upstream import DONE, Script, Upstream, delta, finish, piece

SECRET = "data:image/png;base64,c2VjcmV0"
IMAGES = delta(images=[{"type": "image_url", "image_url": {"url": SECRET}}])
AUDIO = delta(audio={"id": "a", "data": SECRET})


@pytest.fixture
async def model(upstream: Upstream) -> AsyncIterator[OpenAIModel]:
    opened = OpenAIModel("key", upstream.url, read_timeout=30.0)
    yield opened
    await opened.aclose()


async def test_each_field_is_logged_once_for_each_model(
    upstream: Upstream, model: OpenAIModel
) -> None:
    told = []
    for name, steps in (
        ("a", [IMAGES, piece("x")]),
        ("a", [IMAGES, piece("x"), AUDIO]),
        ("b", [AUDIO, piece("x"), IMAGES]),
        ("b", [AUDIO, piece("x")]),
        ("c", [piece("x")]),
    ):
        upstream.then(Script([*steps, finish(), DONE]))
        with capture_logs() as lines:
            items = [each async for each in model.stream(replace(REQUEST, model=name))]
        assert text_of(items) == "x"
        assert isinstance(items[-1], Finished)
        told.append([(line["log_level"], line["model"], line["fields"]) for line in lines])
        assert SECRET not in str(lines)
    assert told == [
        [("warning", "a", ["images"])],
        [("warning", "a", ["audio"])],
        [("warning", "b", ["audio", "images"])],
        [],
        [],
    ]


async def test_a_whole_answer_is_read_the_same(upstream: Upstream, model: OpenAIModel) -> None:
    message = b'{"content": "x", "audio": {"data": "c2VjcmV0"}}'
    body = b'{"choices": [{"message": %b, "finish_reason": "stop"}]}' % message
    upstream.then(Script([body], headers={"content-type": "application/json"}))
    with capture_logs() as lines:
        items = [each async for each in model.stream(REQUEST)]
    assert text_of(items) == "x"
    assert [line["fields"] for line in lines] == [["audio"]]


async def test_names_that_a_server_makes_up_are_logged_a_few_times(
    upstream: Upstream, model: OpenAIModel
) -> None:
    logged: list[str] = []
    for attempt in range(10):
        kinds = [{"type": f"kind_{attempt}_{number}"} for number in range(NAMES_LIMIT)]
        upstream.then(Script([delta(content=kinds), piece("x"), finish(), DONE]))
        with capture_logs() as lines:
            assert text_of([each async for each in model.stream(REQUEST)]) == "x"
        logged += [name for line in lines for name in line["fields"]]
    assert len(logged) == NAMES_LIMIT
