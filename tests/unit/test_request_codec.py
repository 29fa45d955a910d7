"""The form in which stores and queues keep a request."""

from typing import Any

import pytest

from adapters.request_codec import UnknownVersion, request_from_plain, request_to_plain
from domain.request import TaskRequest

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
    assert list(TaskRequest.__dataclass_fields__) == [
        "model",
        "max_tokens",
        "temperature",
        "prompt",
        "messages",
        "system",
        "options",
        "metadata",
        "previous_task_id",
        "history",
    ]


@pytest.mark.parametrize("request_", [SMALL, BARE, LARGE])
def test_a_request_is_read_back(request_: TaskRequest) -> None:
    assert request_from_plain(request_to_plain(request_)) == request_


def test_the_next_version_is_refused_as_such() -> None:
    with pytest.raises(UnknownVersion, match="the request has version 4, this instance reads 3"):
        request_from_plain({"v": 4, "prompt": ["Hi."]})


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
