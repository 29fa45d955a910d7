"""openai-agents and langchain-openai are clients of the service: they come to the whole answer, or
they say that there is none."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from adapters.memory import MemoryTaskLog
from tests.doubles.upstream import (
    DONE,
    USAGE,
    Gate,
    Script,
    Upstream,
    answer,
    call,
    finish,
    piece,
    reasoning,
    refusal,
)
from tests.official.programs import Program, environment, running_program
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within

pytestmark = pytest.mark.soak
CLIENTS = {"openai-agents": "agents_program", "langchain-openai": "langchain_program"}
CALLS = [
    reasoning("Two."),
    call(0, '{"city": ', "call_a", "look_up"),
    call(1, '{"city": ', "call_b", "look_up"),
    call(0, '"Oslo"}'),
    call(1, '"Rome"}'),
    finish("tool_calls"),
    USAGE,
    DONE,
]
WAYS = ("items", "previous", "summary", "unstored")
HOWS = list(itertools.product(("responses", "chat"), (False, True)))
"""Which face, and whether the answer is streamed."""


@pytest.fixture(scope="module")
def service(shared_upstream: Upstream) -> Iterator[Running]:
    settings = settings_for(
        openai_base_url=shared_upstream.url, qstash_retries=2, qstash_retry_delay="20"
    )
    with running_service(settings) as running:
        yield running


@pytest.fixture(scope="module", params=CLIENTS)
def program(
    request: pytest.FixtureRequest, service: Running, pytestconfig: pytest.Config
) -> Iterator[Program]:
    assert pytestconfig.cache is not None
    interpreter = environment(pytestconfig.cache, request.param)
    with running_program(interpreter, CLIENTS[request.param], service.url) as program:
        yield program


@pytest.fixture(autouse=True)
def _at_rest(service: Running) -> Iterator[None]:
    """The next test's script is for its own tasks."""
    yield
    store = cast(MemoryTaskLog, service.service.container.kept_tasks())
    eventually(lambda: all(each.task.status.terminal for each in store._entries.values()))


def ask(
    program: Program, face: str, stream: bool, *, tools: bool = False, way: str = "items"
) -> dict[str, Any]:
    return program(face=face, stream=stream, tools=tools, way=way)


@pytest.mark.parametrize(("face", "stream"), HOWS)
def test_a_text(program: Program, scripted: Upstream, face: str, stream: bool) -> None:
    assert ask(program, face, stream)["said"] == "Hello, world."


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("face", "way"),
    [
        ("chat", "items"),
        *(("responses", way) for way in ("items", "previous", "summary", "unstored")),
    ],
)
def test_a_loop_of_tools(
    program: Program, scripted: Upstream, face: str, stream: bool, way: str
) -> None:
    """The second request brings the items, with or without a summary of the reasoning, or names the
    response that it goes on from."""
    scripted.then(Script(CALLS), Script(answer("Seven.")))
    assert ask(program, face, stream, tools=True, way=way)["said"] == "Seven."
    asked, said, *results = scripted.received[1].body["messages"]
    assert asked["role"] == "user"
    assert [each["function"]["arguments"] for each in said["tool_calls"]] == [
        '{"city": "Oslo"}',
        '{"city": "Rome"}',
    ]
    assert [(each["tool_call_id"], each["content"]) for each in results] == [
        ("call_a", "7 in Oslo"),
        ("call_b", "7 in Rome"),
    ]


@pytest.mark.parametrize("face", ["responses", "chat"])
def test_a_lost_attempt_leaves_no_trace(program: Program, scripted: Upstream, face: str) -> None:
    scripted.then(Script([reasoning("Hm."), piece("Half")], cut=True))
    assert ask(program, face, False)["said"] == "Hello, world."


@pytest.mark.parametrize("face", ["responses", "chat"])
def test_a_lost_attempt_that_said_nothing_is_not_seen(
    program: Program, scripted: Upstream, face: str
) -> None:
    lost = Script([reasoning("Hm."), call(0, '{"ci', "call_a", "look_up")], cut=True)
    scripted.then(lost)
    assert ask(program, face, True)["said"] == "Hello, world."


@pytest.mark.parametrize("face", ["responses", "chat"])
def test_an_attempt_that_was_lost_while_it_was_streamed_raises(
    program: Program, scripted: Upstream, face: str
) -> None:
    scripted.then(Script([piece("Half")], cut=True))
    assert "raised" in ask(program, face, True)


@pytest.mark.parametrize(("face", "stream"), HOWS)
def test_a_failed_task_raises(
    program: Program, scripted: Upstream, face: str, stream: bool
) -> None:
    """No client asks again: the service has done so."""
    scripted.always = refusal(503) if stream else Script([piece("Half")], cut=True)
    assert "raised" in ask(program, face, stream)
    assert len(scripted.received) == 3


@pytest.mark.parametrize(("face", "stream"), HOWS)
def test_a_refused_task_raises(
    program: Program, scripted: Upstream, face: str, stream: bool
) -> None:
    scripted.always = refusal(401, "invalid_api_key")
    assert "raised" in ask(program, face, stream)


@pytest.mark.parametrize(("face", "stream"), HOWS)
def test_a_cancelled_task_raises(
    program: Program, scripted: Upstream, service: Running, face: str, stream: bool
) -> None:
    gate = Gate()
    scripted.then(Script([piece("Half"), gate]))
    with ThreadPoolExecutor() as threads:
        asking = threads.submit(ask, program, face, stream)
        assert gate.reached.wait(within(20))
        store = cast(MemoryTaskLog, service.service.container.kept_tasks())
        service.client.http.post(f"/api/tasks/{list(store._entries)[-1]}/cancel")
        assert "raised" in asking.result(within(20))
    assert len(scripted.received) == 1


@pytest.mark.parametrize(("face", "stream"), HOWS)
def test_an_answer_that_was_cut_is_not_taken_for_the_whole(
    request: pytest.FixtureRequest, program: Program, scripted: Upstream, face: str, stream: bool
) -> None:
    """LangChain says so beside the text. The agents raise, except over chat completions."""
    scripted.then(Script(answer("Half", reason="length")))
    told = ask(program, face, stream)
    if "langchain" in request.node.name:
        assert told["cut"] in ("length", {"reason": "max_output_tokens"})
    elif face == "responses":
        assert "raised" in told
