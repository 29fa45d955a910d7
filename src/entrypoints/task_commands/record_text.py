"""The record of a task as text for people. `--json` has all of it."""

from collections.abc import Iterator
from typing import Any

from entrypoints.client.amounts import cost_text
from entrypoints.client.api import Body
from entrypoints.client.item_lines import item_line
from entrypoints.client.printing import shown_time, source_lines
from entrypoints.terminal import one_line, printable

PROMPT_SHOWN = 200
"""Characters of a prompt that are shown."""


def record_text(record: Body) -> str:
    """Return what a record says, as safe to print: a line for each fact, then the text."""
    lines = [f"{name + ':':10}{one_line(str(fact))}" for name, fact in _facts(record) if fact]
    lines += source_lines(record.get("annotations") or [])
    lines += [item_line(each) for each in record.get("items") or []]
    if text := record.get("text"):
        lines += ["", printable(str(text))]
    return "\n".join(lines)


def _facts(record: Body) -> Iterator[tuple[str, Any]]:
    yield "task", record["taskId"]
    yield "status", _status(record)
    yield "model", record.get("model")
    yield "created", shown_time(record.get("createdAt"))
    yield "due", shown_time(record.get("notBefore"))
    yield "deadline", shown_time(record.get("deadline"))
    for name in ("started", "finished"):
        yield name, shown_time(record.get(f"{name}At"))
    yield "next try", shown_time(record.get("nextAttemptAt"))
    yield "retry of", record.get("retryOf")
    yield "usage", _usage(record.get("usage") or {})
    yield "cost", cost_text(record.get("cost"))
    request = record.get("request") or {}
    yield "metadata", " ".join(f"{key}={value}" for key, value in _items(request.get("metadata")))
    yield "system", _shortened(request.get("system"))
    yield "prompt", _shortened(request.get("prompt") or _last_text(request.get("messages")))
    if failure := record.get("error"):
        advice = ", may be tried again" if failure.get("retryable") else ""
        yield "failed", f"{failure.get('message')} ({failure.get('code')}){advice}"
    for call in record.get("toolCalls") or []:
        yield "tool call", f"{call.get('name')}: {call.get('arguments')}"
    if record.get("refusal"):
        yield "refused", "the model refused to answer, or a part of it"
    yield "webhook", _webhook(record.get("webhook") or {})
    if record.get("valid") is not None:
        yield "schema", "the answer fits it" if record["valid"] else "the answer does not fit it"


def _status(record: Body) -> str:
    reason, attempt = record.get("finishReason"), record.get("attempt")
    ended = f" ({reason})" if reason and reason != record["status"] else ""
    return f"{record['status']}{ended}" + (f", attempt {attempt}" if attempt else "")


def _webhook(webhook: Body) -> str:
    if not webhook:
        return ""
    last, calls = webhook.get("lastStatus"), webhook.get("attempts")
    response = f", last response {last}" if last is not None else ""
    return f"{webhook.get('status')}, {calls} {'call' if calls == 1 else 'calls'}{response}"


def _usage(usage: Body) -> str:
    if not usage:
        return ""
    about = "about " if usage.get("estimated") else ""
    read, written = usage.get("promptTokens"), usage.get("completionTokens")
    return f"{about}{read} tokens read, {written} written"


def _items(metadata: Any) -> list[tuple[str, Any]]:
    return list(metadata.items()) if isinstance(metadata, dict) else []


def _last_text(messages: Any) -> str:
    """Return the text of the last message, without its other parts."""
    if not messages:
        return ""
    content = messages[-1].get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(str(part["text"]) for part in content if part.get("text"))


def _shortened(text: Any) -> str:
    text = str(text or "")
    return text if len(text) <= PROMPT_SHOWN else f"{text[:PROMPT_SHOWN]}…"
