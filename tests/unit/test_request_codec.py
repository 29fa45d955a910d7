"""The form in which stores and queues keep a request."""

import dataclasses
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.request_codec import (
    LAST_FLAT_VERSION,
    VERSION,
    UnknownVersion,
    request_from_plain,
    request_to_plain,
)
from domain.flow_control import FlowControl
from domain.request import TaskRequest
from tests.contract.legal_logs import OBJECTS, TEXTS

SMALL = TaskRequest(model="m", max_tokens=10, temperature=0.5, prompt="Hi.")
BARE = TaskRequest(model="m", prompt="Hi.")
LARGE = TaskRequest(
    model="m",
    max_tokens=10,
    temperature=0.5,
    messages=({"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}),
    system="S",
    metadata={"k": "v"},
)


def test_the_form_of_each_version() -> None:
    """Who adds or changes a field fails here, and has to ask: would an instance of the version
    before misread it? Then VERSION grows."""
    number = {"v": 1, "model": "m", "max_tokens": 10, "temperature": 0.5}
    assert request_to_plain(SMALL) == {**number, "prompt": "Hi."}
    assert request_to_plain(BARE) == {"v": 2, "model": "m", "prompt": "Hi."}
    assert request_to_plain(LARGE) == {
        **number,
        "messages": [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}],
        "system": "S",
        "metadata": {"k": "v"},
    }
    assert [each.name for each in dataclasses.fields(TaskRequest) if each.init] == [
        "model",
        "max_tokens",
        "temperature",
        "prompt",
        "messages",
        "system",
        "options",
        "metadata",
        "ttl",
        "delay",
        "not_before",
        "deadline",
        "flow_control",
        "budget_tokens",
        "webhook_url",
        "prefill",
        "echo",
        "previous_task_id",
        "history",
    ]


PLAIN: list[dict[str, Any]] = [
    {"prompt": "Hi."},
    {"messages": ({"role": "system", "content": ""}, {"role": "user", "content": "A"})},
    {"prompt": "Hi.", "system": "S", "metadata": {"k": "v"}},
]
NOT_PLAIN: list[dict[str, Any]] = [
    {"prompt": "Hi.", "options": {"seed": 1}},
    {"prompt": "Hi.", "echo": {"background": True}},
    {"prompt": "Hi.", "ttl": 60},
    {"prompt": "Hi.", "previous_task_id": "task_1_a"},
    {"prompt": "Hi.", "history": ({"role": "user", "content": "A"},)},
    {"messages": ({"role": "developer", "content": "A"},)},
    {"messages": ({"role": "user", "content": "A", "name": "bob"},)},
    {"messages": ({"role": "user", "content": [{"type": "text", "text": "A"}]},)},
    {"messages": ({"role": "assistant", "content": None},)},
    {"messages": ({"role": "assistant", "tool_calls": []},)},
    {"messages": ({"role": "tool", "tool_call_id": "c", "content": "A"},)},
]


def test_a_request_is_written_in_the_lowest_version_that_says_all_of_it() -> None:
    """The version before reads 1 and 2, where a message is a role and a text."""
    for fields in PLAIN:
        assert request_to_plain(TaskRequest(model="m", **fields))["v"] == 2
        with_numbers = TaskRequest(model="m", max_tokens=10, temperature=0.5, **fields)
        assert request_to_plain(with_numbers)["v"] == 1
    for fields in NOT_PLAIN:
        request = TaskRequest(model="m", **fields)
        plain = request_to_plain(request)
        assert plain["v"] == LAST_FLAT_VERSION + 1
        assert request_from_plain(msgspec.json.decode(msgspec.json.encode(plain))) == request


@given(
    prompt=TEXTS,
    temperature=st.none() | st.floats(0, 2),
    max_tokens=st.none() | st.integers(1, 10**7),
    ttl=st.none() | st.integers(1, 10**7),
    options=OBJECTS,
    echo=OBJECTS,
    messages=st.lists(OBJECTS, max_size=3),
    history=st.lists(OBJECTS, max_size=3),
    metadata=st.dictionaries(TEXTS, TEXTS, max_size=3),
)
def test_a_request_that_was_kept_has_the_digest_that_it_had(**fields: Any) -> None:
    """A delivery is compared with what the store kept, and a start with an earlier one."""
    fields |= {name: tuple(fields[name]) for name in ("messages", "history")}
    request = TaskRequest(model="m", **fields)
    kept = request_from_plain(msgspec.json.decode(msgspec.json.encode(request_to_plain(request))))
    assert kept == request
    assert kept.digest() == request.digest()


@pytest.mark.parametrize("request_", [SMALL, BARE, LARGE])
def test_a_request_is_read_back(request_: TaskRequest) -> None:
    assert request_from_plain(request_to_plain(request_)) == request_


@pytest.mark.parametrize("field", ["delay", "not_before"])
def test_a_request_that_is_put_off_is_for_no_older_instance(field: str) -> None:
    """It would drop the field, and find another digest than that of the message."""
    for value in (0, 7):
        fields: dict[str, Any] = {field: value}
        request = TaskRequest(model="m", prompt="Hi.", **fields)
        plain = request_to_plain(request)
        assert plain["v"] == 4
        assert request_from_plain(plain) == request


def test_a_request_that_says_whether_it_may_be_continued_is_for_no_older_instance() -> None:
    for allowed in (True, False):
        request = TaskRequest(model="m", prompt="Hi.", delay=7, prefill=allowed)
        plain = request_to_plain(request)
        assert plain["v"] == 5
        assert request_from_plain(plain) == request


@pytest.mark.parametrize(
    "flow",
    [
        FlowControl(key="a", parallelism=1),
        FlowControl(key="a.b-c_d", rate=60, period=60),
        FlowControl(key="a", parallelism=4, rate=60, period=1),
    ],
)
def test_a_request_with_flow_control_is_for_no_older_instance(flow: FlowControl) -> None:
    request = TaskRequest(model="m", prompt="Hi.", flow_control=flow)
    plain = msgspec.json.decode(msgspec.json.encode(request_to_plain(request)))
    assert plain["v"] == VERSION == 6
    assert request_from_plain(plain) == request
    assert request_from_plain(plain).digest() == request.digest()
    assert request.digest() != TaskRequest(model="m", prompt="Hi.").digest()


def test_a_request_with_a_budget_is_for_no_older_instance() -> None:
    request = TaskRequest(model="m", prompt="Hi.", budget_tokens=7)
    plain = request_to_plain(request)
    assert plain["v"] == VERSION
    assert request_from_plain(plain) == request


def test_the_next_version_is_refused_as_such() -> None:
    with pytest.raises(UnknownVersion, match="the request has version 7, this instance reads 6"):
        request_from_plain({"v": 7, "prompt": ["Hi."]})


def test_what_was_accepted_once_is_read_though_its_bounds_have_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for limit in ("MAX_TOKENS_LIMIT", "TEMPERATURE_LIMIT", "METADATA_PAIRS_LIMIT"):
        monkeypatch.setattr(f"domain.request.{limit}", 0)
    assert LARGE.faults()
    assert request_from_plain(request_to_plain(LARGE)) == LARGE


@pytest.mark.parametrize(
    "changes",
    [{"v": None}, {"v": "1"}, {"model": 7}, {"prompt": None}, {"messages": ["x"]}],
)
def test_what_is_no_request_is_no_next_version(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        request_from_plain({**request_to_plain(SMALL), **changes})
    assert not isinstance(refused.value, UnknownVersion)
