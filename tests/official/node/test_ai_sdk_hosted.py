"""The AI SDK hears what OpenAI's tools did, through a task, and sends it back in the next turn."""

from typing import Any

import pytest

from tests.doubles.responses_upstream import ResponsesUpstream
from tests.end_to_end.test_hosted_tools import DID, answer_with_tools
from tests.official.node.clients import Node
from tests.running import running_service, settings_for

pytestmark = pytest.mark.soak
TOLD = {
    "web_search": "web_search_call",
    "file_search": "file_search_call",
    "mcp.find": "mcp_call",
    "code_interpreter": "code_interpreter_call",
    "image_generation": "image_generation_call",
}


@pytest.mark.parametrize("options", [{}, {"store": False}])
def test_it_hears_of_each_call_and_its_result(
    node: Node, responses_upstream: ResponsesUpstream, options: dict[str, Any]
) -> None:
    settings = settings_for(
        openai_api_key="sk-planted",
        openai_base_url=responses_upstream.url,
        openai_api="responses",
    )
    with running_service(settings) as service:
        answer_with_tools(responses_upstream)
        seen = node.result("ai_sdk", service.url, "hosted", options=options)
    assert "errors" not in seen
    assert (seen["text"], seen["again"]) == ("Oslo.", "Hello, world.")
    for kind in ("tool-call", "tool-result"):
        assert [each["toolName"] for each in seen["parts"] if each["type"] == kind] == list(TOLD)
    called = {each["toolName"]: each for each in seen["parts"] if each["type"] == "tool-call"}
    assert called["code_interpreter"]["input"]["code"] == "print(6 * 7)"
    picture = seen["parts"][-1]
    assert (picture["type"], picture["toolName"]) == ("tool-result", "image_generation")
    assert picture["output"]["result"] == DID[-1]["result"]
    said = [each.get("role") for each in responses_upstream.received[-1].body["input"]]
    assert said == ["user", "assistant", "user"]
