"""langchain-openai against a service, as a program of its own: prints what became of each run."""

import json
import sys
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI

OPTIONS: dict[str, dict[str, Any]] = {
    "items": {},
    "previous": {"use_previous_response_id": True},
    "summary": {"reasoning": {"effort": "low", "summary": "auto"}},
    "unstored": {"store": False, "include": ["reasoning.encrypted_content"]},
}


def look_up(city: str) -> str:
    """How warm it is in a city."""
    return f"7 in {city}"


TOOL: Any = StructuredTool.from_function(look_up)


def ask(model: Any, messages: list[Any], *, stream: bool) -> Any:
    if not stream:
        return model.invoke(messages)
    whole: Any = None
    for piece in model.stream(messages):
        whole = piece if whole is None else whole + piece
    return whole


def run(model: Any, *, stream: bool) -> dict[str, Any]:
    """Ask, and run the tools that the model calls, until it calls none."""
    messages: list[Any] = [HumanMessage("Hi.")]
    try:
        while True:
            answer: AIMessage = ask(model, messages, stream=stream)
            messages.append(answer)
            if not answer.tool_calls:
                break
            messages += [
                ToolMessage(TOOL.invoke(call["args"]), tool_call_id=call["id"])
                for call in answer.tool_calls
            ]
    except Exception as error:
        return {"raised": type(error).__name__, "message": str(error)}
    metadata = answer.response_metadata
    cut = metadata.get("incomplete_details") or metadata.get("finish_reason")
    return {"said": str(answer.text), "cut": cut}


def main(url: str) -> None:
    """Each line of the input tells how to run."""
    for line in sys.stdin:
        case = json.loads(line)
        model: Any = ChatOpenAI(
            model="m",
            base_url=f"{url}/v1",
            api_key="any",
            use_responses_api=case["face"] == "responses",
            **OPTIONS[case["way"]],
        )
        told = run(model.bind_tools([TOOL]) if case["tools"] else model, stream=case["stream"])
        print(json.dumps(told), flush=True)


main(sys.argv[1])
