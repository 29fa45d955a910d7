"""What the demo model says, and what it understands of a conversation.

Every text begins with a label, so that it is not mistaken for the answer of a real model. Data that
must fit a schema cannot have one: there, only the name of the model tells.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.messages import Message, objects_in, texts_of

SHOWN = 200
"""Characters of a question or a result that are repeated."""

_LABEL = "> **Demo model.** No `OPENAI_API_KEY` is set, so "

_TEXT = """\
this sample text is streamed instead of an answer.

You asked: {question}

{sent}\
Here is what happens while you read this. Your prompt was recorded as a *task* and handed to a \
queue that speaks QStash's protocol. The queue called this service back with a signed request, \
and the *response* to that request is being held open while the text you see is produced piece by \
piece. Every piece is first added to the task's event log, and only then shown to you.

1. **Reload the page** or connect a second time: the same text appears, from the first word on.
2. **Cut the connection**: the stream goes on from the very next event, with none missing and \
none twice.
3. **Cancel** the task: the text so far is kept.

```python
for event in task.events(after=last_seen):
    print(event.data, end="")
```

To get real answers, set `OPENAI_API_KEY`, or `OPENAI_BASE_URL` for any server that speaks the \
same protocol, and start the service again.
"""
_THOUGHTS = """\
The question is: {question} A real model would think about it here. The demo model only shows how \
reasoning arrives: piece by piece, before the answer, in events of its own."""
_CALL = (
    "no model decides. Since the request offers tools, the demo calls `{name}` with sample data."
)
_RESULTS = """\
no model reads this. The tools returned:

{results}

A real model would now answer with them.
"""


def question_in(conversation: Sequence[Message]) -> str:
    """Return the text of the last message of the user, in one line."""
    asked = [each for each in conversation if each.get("role") == "user"] or conversation[-1:]
    return _shown(text_of(asked[-1])) if asked else ""


def text_of(message: Message) -> str:
    return "\n".join(texts_of(message))


def results_in(conversation: Sequence[Message]) -> list[tuple[str, str]]:
    """Return the results of tools at the end of a conversation, each with the name of its tool."""
    names = {}
    results: list[tuple[str, str]] = []
    for message in conversation:
        if message.get("role") != "tool":
            results.clear()
            for call in objects_in(message.get("tool_calls")):
                function = call.get("function")
                if isinstance(function, Mapping):
                    names[call.get("id")] = str(function.get("name"))
        else:
            name = names.get(message.get("tool_call_id"), "unknown")
            results.append((name, _shown(text_of(message))))
    return results


def call_id(conversation: Sequence[Message]) -> str:
    """Return an id that no call of the conversation has."""
    calls = sum(len(objects_in(message.get("tool_calls"))) for message in conversation)
    return f"call_demo_{calls + 1}"


def thoughts(question: str) -> str:
    return _THOUGHTS.format(question=question)


def before_a_call(name: str) -> str:
    return _LABEL + _CALL.format(name=name)


def after_calls(results: Sequence[tuple[str, str]]) -> str:
    told = "\n".join(f"- `{name}`: {result}" for name, result in results)
    return _LABEL + _RESULTS.format(results=told)


def answer(conversation: Sequence[Message], question: str) -> str:
    said = [each for each in conversation if each.get("role") not in ("system", "developer")]
    sent = [
        _sent(part)
        for part in objects_in(conversation[-1].get("content"))
        if part.get("type") != "text"
    ]
    lines = [f"You sent {each}." for each in sent]
    if len(said) > 1:
        earlier = "1 message" if len(said) == 2 else f"{len(said) - 1} messages"
        lines.append(f"This conversation has {earlier} before that.")
    told = "".join(f"{line}\n\n" for line in lines)
    return _LABEL + _TEXT.format(question=question, sent=told)


def data(question: str) -> dict[str, str]:
    """Return a JSON object, where one without a schema is asked for."""
    return {"demo": "No OPENAI_API_KEY is set: this is no answer.", "question": question}


def _sent(part: Mapping[str, Any]) -> str:
    """Return what a part of a message is, for people."""
    kind = part.get("type")
    inner = part.get(kind) if isinstance(kind, str) else None
    inside = inner if isinstance(inner, Mapping) else {}
    if kind == "image_url":
        return f"an image ({_described(inside.get('url'))})"
    if kind == "input_audio":
        return f"a recording ({inside.get('format')}, {_described(inside.get('data'))})"
    if kind == "file":
        name = inside.get("filename") or inside.get("file_id") or "without a name"
        held = inside.get("file_data")
        return f"a file (`{name}`{', ' + _described(held) if held else ''})"
    return f"a part of type `{kind}`"


def _described(data: object) -> str:
    """Return the media type and the size of a `data:` URL, the size of base64, or another URL."""
    text = data if isinstance(data, str) else ""
    if "://" in text[:20]:
        return f"`{_shown(text)}`"
    head, _, held = text.rpartition(",")
    kind = head.removeprefix("data:").partition(";")[0]
    size = f"{len(held.rstrip('=')) * 3 // 4:,} bytes"
    return f"{kind}, {size}" if kind else size


def _shown(text: str) -> str:
    line = text.replace("\n", " ")
    return line if len(line) <= SHOWN else line[:SHOWN] + "…"
