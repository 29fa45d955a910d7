"""A LanguageModel that needs no account: it streams sample text.

The options of a request bring out the rest: with `reasoning_effort` it reasons, with `tools` it
calls one, and says what the tool returned once it is told; with `response_format` it answers by the
schema. The same request always gets the same answer, so it can go on from any place in it.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapters.demo import speech
from adapters.demo.samples import sample
from application.errors import ContinuationLost
from application.ports import (
    Finished,
    Item,
    LanguageModel,
    OfferedModel,
    Resumption,
)
from domain.answer import Answer, Piece, Reasoning, Text, ToolCallDelta
from domain.events import Usage
from domain.messages import objects_in
from domain.request import TaskRequest

MODEL_NAME = "longtask-demo"


class DemoModel(LanguageModel):
    def __init__(self, tokens_per_second: float) -> None:
        """`tokens_per_second`: 0 streams without pauses."""
        self._pause = 1.0 / tokens_per_second if tokens_per_second > 0 else 0.0

    def goes_on(self, request: TaskRequest, said: Answer) -> bool:
        # Not whether the answer begins so: that is found once it is made, which may take a while.
        return request.prefill is not False and said.size > 0 and not said.tool_calls

    async def stream(
        self, request: TaskRequest, resumption: Resumption | None = None
    ) -> AsyncGenerator[Item, None]:
        answer = list(_answer(request))
        spoken = answer[: request.max_tokens]
        cut = len(spoken) < len(answer)
        if resumption is not None and (said := resumption.said) != Answer():
            if said.tool_calls or not _is_beginning(said, answer):
                message = "The demo model gives another answer by now."
                raise ContinuationLost("continuation_lost", message)
            spoken = _behind(said, spoken)
        for piece in spoken:
            await asyncio.sleep(self._pause)
            yield (piece,)
        reasoned = sum(isinstance(piece, Reasoning) for piece in spoken)
        calls = any(isinstance(piece, ToolCallDelta) for piece in answer)
        asked = sum(len(speech.text_of(each).split()) for each in request.conversation())
        yield Finished(
            "length" if cut else "tool_calls" if calls else "stop",
            MODEL_NAME,
            Usage(asked, len(spoken), asked + len(spoken), reasoned or None),
        )

    async def models(self) -> Sequence[OfferedModel]:
        return [OfferedModel(MODEL_NAME, 0, "longtask")]


def _is_beginning(said: Answer, answer: Sequence[Piece]) -> bool:
    """Whether an answer begins with this reasoning and text. It does not if another version of the
    service gave it, say."""
    reasoning = "".join(each.text for each in answer if isinstance(each, Reasoning))
    text = "".join(each.text for each in answer if isinstance(each, Text))
    if said.text:
        return reasoning == said.reasoning and text.startswith(said.text)
    return reasoning.startswith(said.reasoning)


def _behind(said: Answer, answer: Sequence[Piece]) -> list[Piece]:
    """Return what an answer has behind this beginning of it."""
    left = {Reasoning: len(said.reasoning), Text: len(said.text)}
    rest: list[Piece] = []
    for piece in answer:
        if isinstance(piece, Reasoning | Text) and (known := left[type(piece)]):
            left[type(piece)] = max(0, known - len(piece.text))
            piece = replace(piece, text=piece.text[known:])  # noqa: PLW2901
        if not isinstance(piece, Reasoning | Text) or piece.text:
            rest.append(piece)
    return rest


def _answer(request: TaskRequest) -> Iterator[Piece]:
    """Yield the whole answer, a token at a time."""
    conversation, options = request.conversation(), request.options
    question = speech.question_in(conversation)
    results = speech.results_in(conversation)
    tool = None if results else _wanted_tool(options)
    if options.get("reasoning_effort") not in (None, "none"):
        yield from map(Reasoning, _tokens(speech.thoughts(question)))
    if tool is not None:
        yield from map(Text, _tokens(speech.before_a_call(tool["name"])))
        yield ToolCallDelta(0, "", speech.call_id(conversation), tool["name"])
        arguments = json.dumps(sample(tool.get("parameters"), question), ensure_ascii=False)
        yield from (ToolCallDelta(0, token) for token in _tokens(arguments))
        return
    data = _wanted_data(options, question)
    if data is not None:
        yield from map(Text, _tokens(json.dumps(data[0], ensure_ascii=False, indent=2)))
    elif results:
        yield from map(Text, _tokens(speech.after_calls(results)))
    else:
        yield from map(Text, _tokens(speech.answer(conversation, question)))


def _tokens(text: str) -> list[str]:
    """Return words with the space before them, like the tokens of a model."""
    return re.findall(r"\s*\S+|\s+$", text)


def _wanted_tool(options: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the function that `tool_choice` names, else the first one; None without functions, or
    where they may not be called."""
    choice = options.get("tool_choice")
    tools = _functions(options.get("tools"))
    if isinstance(choice, Mapping):
        allowed = choice.get("allowed_tools")
        named = allowed.get("tools") if isinstance(allowed, Mapping) else [choice]
        names = [each["name"] for each in _functions(named)]
        tools = [each for each in tools if each["name"] in names]
    return None if choice == "none" or not tools else tools[0]


def _functions(tools: object) -> list[Mapping[str, Any]]:
    """Return the functions with a name among tools, or what stands in their place."""
    functions = [each.get("function") for each in objects_in(tools)]
    return [each for each in functions if isinstance(each, Mapping) and _is_name(each.get("name"))]


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _wanted_data(options: Mapping[str, Any], question: str) -> tuple[Any] | None:
    """Return, in a tuple, the data that `response_format` asks for; None if it asks for text."""
    wanted = options.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if kind == "json_object":
        return (speech.data(question),)
    if isinstance(wanted, Mapping) and kind == "json_schema":
        given = wanted.get("json_schema")
        schema = given.get("schema") if isinstance(given, Mapping) else None
        return (sample(schema, question),)
    return None
