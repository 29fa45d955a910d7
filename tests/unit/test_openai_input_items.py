"""The items of the input of a response, and their pages."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.plugins.problem_details import ProblemDetailsException
from openai.types.responses.response_item_list import ResponseItemList

from domain.request import TaskRequest
from entrypoints.http.openai.input_items import input_items_of, page_of
from entrypoints.http.openai.response_request import read_response_request
from entrypoints.http.request_defaults import RequestDefaults
from tests.told_faults import told_faults

DEFAULTS = RequestDefaults(model="m")

texts = st.text(min_size=1, max_size=20)
user_parts = st.one_of(
    st.fixed_dictionaries({"type": st.just("input_text"), "text": st.text(max_size=9)}),
    st.fixed_dictionaries(
        {
            "type": st.just("input_image"),
            "image_url": st.just("https://a.example/b.png"),
            "detail": st.sampled_from(["auto", "low", "high"]),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("input_file"), "file_data": st.just("cGRm"), "filename": texts}
    ),
)
asked = st.builds(
    lambda role, content: [
        {"type": "message", "role": role, "status": "completed", "content": content}
    ],
    st.sampled_from(["user", "system", "developer"]),
    st.lists(user_parts, min_size=1, max_size=3),
)


def answered(said: list[str], calls: list[str]) -> list[dict[str, Any]]:
    """A message, if it says something, its calls and their results."""
    content = [
        {"type": "output_text", "text": each, "annotations": [], "logprobs": []} for each in said
    ]
    message = {"type": "message", "role": "assistant", "status": "completed", "content": content}
    ids = [f"c{index}" for index in range(len(calls))]
    called = [
        {
            "type": "function_call",
            "call_id": call_id,
            "name": "f",
            "arguments": arguments,
            "status": "completed",
        }
        for call_id, arguments in zip(ids, calls, strict=True)
    ]
    results = [
        {"type": "function_call_output", "call_id": each, "status": "completed", "output": "1"}
        for each in ids
    ]
    return [*([message] if said else []), *called, *results]


answers = st.builds(answered, st.lists(texts, max_size=2), st.lists(texts, max_size=2))
inputs = st.lists(asked | answers, max_size=4).map(
    lambda turns: [i for turn in turns for i in turn]
)


def items_of(request: TaskRequest) -> list[dict[str, Any]]:
    """The items, which the official client reads."""
    items = input_items_of("t", request)
    ResponseItemList.model_validate(page_of(items))
    return items


def without_ids(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in each.items() if name != "id"} for each in items]


@given(inputs)
def test_the_input_is_told_as_it_was_given(items: list[dict[str, Any]]) -> None:
    if items:
        request = read_response_request({"input": items}, DEFAULTS).request
        assert request.faults() == []
        assert without_ids(items_of(request)) == items


def test_the_prompt_is_told_as_a_message_of_the_user() -> None:
    assert items_of(TaskRequest(model="m", prompt="Hi.")) == [
        {
            "id": "msg_in_t_0",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_text", "text": "Hi."}],
        }
    ]


def test_the_conversation_before_is_not_told() -> None:
    said = ({"role": "user", "content": "Before."},)
    assert len(items_of(TaskRequest(model="m", prompt="Hi.", history=said))) == 1


def test_messages_of_chat_completions_are_told_as_items() -> None:
    custom = {"id": "c2", "type": "custom", "custom": {"name": "run", "input": "ls"}}
    items = items_of(
        TaskRequest(
            model="m",
            messages=(
                {"role": "assistant", "content": None, "refusal": "No."},
                {"role": "assistant", "content": "", "tool_calls": [custom]},
                {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "a"}]},
                {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
                {"role": "function", "name": "f", "content": None},
            ),
        )
    )
    assert [(each["id"], each["type"]) for each in items] == [
        ("msg_in_t_0", "message"),
        ("ctc_in_t_1", "custom_tool_call"),
        ("fco_in_t_2", "function_call_output"),
        ("fc_in_t_3", "function_call"),
        ("fco_in_t_4", "function_call_output"),
    ]
    assert items[0]["content"] == [{"type": "refusal", "refusal": "No."}]
    assert items[2]["output"] == [{"type": "input_text", "text": "a"}]


def ids(page: dict[str, Any]) -> list[str]:
    return [each["id"] for each in page["data"]]


ITEMS = [{"id": f"i{index}"} for index in range(25)]


def test_the_newest_items_are_first_unless_asked_otherwise() -> None:
    assert ids(page_of(ITEMS)) == [f"i{index}" for index in range(24, 4, -1)]
    assert ids(page_of(ITEMS, limit="2", order="asc")) == ["i0", "i1"]


@given(st.integers(1, 30), st.sampled_from(["asc", "desc"]))
def test_pages_together_are_the_list(size: int, order: str) -> None:
    found, after, more = [], None, True
    while more:
        page = page_of(ITEMS, str(size), order, after)
        assert (page["first_id"], page["last_id"]) == (ids(page)[0], ids(page)[-1])
        found += ids(page)
        after, more = page["last_id"], page["has_more"]
    assert found == [each["id"] for each in (ITEMS if order == "asc" else ITEMS[::-1])]


def test_behind_the_last_item_is_nothing() -> None:
    page = page_of(ITEMS, after="i0")
    assert (page["data"], page["has_more"]) == ([], False)


@pytest.mark.parametrize("limit", ["0", "101", "x", "1.5", "-1", "", "²"])
def test_a_limit_is_a_whole_number_from_1_to_100(limit: str) -> None:
    with pytest.raises(ProblemDetailsException, match="a whole number from 1 to 100"):
        page_of(ITEMS, limit)


def test_every_wrong_parameter_of_a_page_is_told() -> None:
    with pytest.raises(ProblemDetailsException) as refused:
        page_of(ITEMS, "0", "newest", "i99")
    assert list(told_faults(refused.value)) == ["limit", "order", "after"]
