"""openai-agents against a service, as a program of its own: prints what became of each run."""

import asyncio
import json
import sys
from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from openai.types.shared import Reasoning

SETTINGS = {
    "items": ModelSettings(),
    "previous": ModelSettings(),
    "summary": ModelSettings(reasoning=Reasoning(effort="low", summary="auto")),
    "unstored": ModelSettings(store=False, response_include=["reasoning.encrypted_content"]),
}


def look_up(city: str) -> str:
    """How warm it is in a city."""
    return f"7 in {city}"


async def run(agent: Agent[Any], prompt: str, *, stream: bool, **options: Any) -> dict[str, Any]:
    try:
        if not stream:
            result: Any = await Runner.run(agent, prompt, **options)
        else:
            result = Runner.run_streamed(agent, prompt, **options)
            async for _ in result.stream_events():
                pass
    except Exception as error:
        return {"raised": type(error).__name__, "message": str(error)}
    return {"said": result.final_output}


async def main(url: str) -> None:
    """Each line of the input names a prompt and how to run it."""
    set_tracing_disabled(True)
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="any") as client:
        models = {
            "responses": OpenAIResponsesModel("m", client),
            "chat": OpenAIChatCompletionsModel("m", client),
        }
        for line in sys.stdin:
            case = json.loads(line)
            agent = Agent[Any](
                name="a",
                model=models[case["face"]],
                tools=[function_tool(look_up)] if case["tools"] else [],
                model_settings=SETTINGS[case["way"]],
            )
            options = {"auto_previous_response_id": True} if case["way"] == "previous" else {}
            told = await run(agent, "Hi.", stream=case["stream"], **options)
            print(json.dumps(told), flush=True)


asyncio.run(main(sys.argv[1]))
