"""Tools that the model's server runs: passed on, where it is asked by its Responses API."""

from typing import Any

import pytest
from litestar.plugins.problem_details import ProblemDetailsException

from domain.request import RequestBounds, TaskRequest
from entrypoints.http.openai.response_echo import echo_of
from entrypoints.http.openai.response_request import read_response_request
from entrypoints.http.request_defaults import RequestDefaults
from tests.told_faults import told_faults

HOSTED = RequestBounds(hosted_tools=True)
MCP = {
    "type": "mcp",
    "server_label": "maps",
    "server_url": "https://maps.example.org",
    "require_approval": "never",
}
TOOLS: list[dict[str, Any]] = [
    {"type": "web_search"},
    {"type": "web_search_preview_2025_03_11", "search_context_size": "low"},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "image_generation", "quality": "low"},
    MCP,
]
FUNCTION = {"type": "function", "name": "add", "parameters": {"type": "object"}}


def read(**body: Any) -> TaskRequest:
    defaults = RequestDefaults(model="m")
    return read_response_request({"input": "Hi.", **body}, defaults, bounds=HOSTED).request


def faults(**body: Any) -> dict[str, str]:
    with pytest.raises(ProblemDetailsException) as refused:
        read(**body)
    return told_faults(refused.value)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool["type"])
def test_a_hosted_tool_is_passed_on_and_told_again_as_it_is(tool: dict[str, Any]) -> None:
    request = read(tools=[FUNCTION, tool], tool_choice={"type": tool["type"]}, max_tool_calls=3)
    assert request.options["tools"][1] == tool
    assert request.options["tool_choice"] == {"type": tool["type"]}
    echo = echo_of(request)
    assert [each["type"] for each in echo["tools"]] == ["function", tool["type"]]
    assert echo["tools"][1] == tool
    assert (echo["tool_choice"], echo["max_tool_calls"]) == ({"type": tool["type"]}, 3)


def test_a_choice_among_tools_may_name_hosted_ones() -> None:
    chosen = [{"type": "function", "name": "add"}, {"type": "mcp", "server_label": "maps"}]
    choice = {"type": "allowed_tools", "mode": "required", "tools": chosen}
    request = read(tools=[FUNCTION, MCP], tool_choice=choice)
    assert request.options["tool_choice"]["allowed_tools"]["tools"][1] == chosen[1]
    assert echo_of(request)["tool_choice"] == choice


def test_what_is_included_of_hosted_tools_is_asked_for() -> None:
    wanted = ["web_search_call.action.sources", "reasoning.encrypted_content"]
    assert read(include=wanted).options["include"] == wanted[:1]
    assert "include" not in read(include=wanted[1:]).options


def test_no_response_repeats_the_secrets_of_a_tool() -> None:
    secret = {**MCP, "authorization": "a", "headers": {"X-Key": "k"}}
    request = read(tools=[secret])
    assert request.options["tools"] == [secret]
    assert echo_of(request)["tools"] == [MCP]


@pytest.mark.parametrize("approval", [None, "always", {"never": {"tool_names": ["find"]}}])
def test_approvals_are_refused(approval: object) -> None:
    assert faults(tools=[{**MCP, "require_approval": approval}]) == {
        "tools[0].require_approval": 'must be "never": approvals are not carried'
    }


@pytest.mark.parametrize("kind", ["computer_use_preview", "local_shell", "custom", "mcpx", None])
def test_what_a_client_would_have_to_run_is_refused(kind: str | None) -> None:
    found = faults(tools=[{"type": kind}], tool_choice={"type": kind})
    assert list(found) == ["tools[0].type", "tool_choice.type"]
    assert kind is None or '"web_search"' in found["tools[0].type"]


def test_what_hosted_tools_did_may_come_back_and_is_left_out() -> None:
    items = [
        {"role": "user", "content": "Hi."},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}},
        {"type": "mcp_call", "id": "mcp_1", "name": "f", "arguments": "{}"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Why?"},
    ]
    assert [each["content"] for each in read(input=items).messages] == ["Hi.", "Yes.", "Why?"]
    approval = {"type": "mcp_approval_response", "approve": True, "approval_request_id": "a"}
    assert list(faults(input=[*items, approval])) == ["input[5].type"]
