"""What the routes take and return: JSON in camelCase. These are shapes only; what they hold is
checked by the domain."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import msgspec

from application.manage_task import TaskWithAnswer
from domain.events import Usage
from domain.failure import Failure
from domain.messages import Message
from domain.request import (
    MAX_TOKENS_LIMIT,
    METADATA_PAIRS_LIMIT,
    TEMPERATURE_LIMIT,
    TaskRequest,
)
from entrypoints.http.request_defaults import RequestDefaults
from entrypoints.times import milliseconds_of

WHOLE_NUMBERS = ("max_tokens", "ttl", "delay", "not_before", "deadline")
"""The fields of a start that may not have fractions."""
MALFORMED_TIME = (
    "must be milliseconds since 1970, or a time with its zone such as 2026-11-29T17:46:54Z"
)
_OWN = "the service's, if it has one, else the model's own"


class StartBody(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Exactly one of `prompt` and `messages`."""

    prompt: Annotated[
        str | None,
        msgspec.Meta(
            description="The message of a user.",
            examples=["Write a short story about a lighthouse."],
        ),
    ] = None
    messages: Annotated[
        list[Any] | None,  # the domain names what is wrong with each
        msgspec.Meta(
            description=(
                "A conversation, in the form of OpenAI's chat completions: roles system, "
                "developer, user, assistant and tool; content a text or a list of parts."
            ),
            examples=[[{"role": "user", "content": "Write a short story."}]],
        ),
    ] = None
    system: Annotated[
        str | None, msgspec.Meta(description="Put before the prompt or the messages.")
    ] = None
    model: Annotated[
        str | None, msgspec.Meta(description="Default: the service's.", examples=["gpt-4o-mini"])
    ] = None
    max_tokens: Annotated[
        int | float | None,
        msgspec.Meta(description=f"1 to {MAX_TOKENS_LIMIT:,}. Default: {_OWN}."),
    ] = None
    temperature: Annotated[
        float | None,
        msgspec.Meta(description=f"0 to {TEMPERATURE_LIMIT:g}. Default: {_OWN}."),
    ] = None
    options: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(
            description=(
                "Other parameters of chat completions in OpenAI's spelling, put into the request "
                "to the model's server as they are: tools, response_format, reasoning_effort, "
                "and so on."
            ),
            examples=[{"reasoning_effort": "low"}],
        ),
    ] = None
    previous_task_id: Annotated[
        str | None,
        msgspec.Meta(
            description="A task that has completed or was cancelled, whose conversation goes on.",
        ),
    ] = None
    metadata: Annotated[
        dict[str, str] | None,
        msgspec.Meta(description=f"At most {METADATA_PAIRS_LIMIT} pairs, returned untouched."),
    ] = None
    ttl: Annotated[
        int | float | None,
        msgspec.Meta(
            description=(
                "Seconds for which the task is kept after its end. Default, and at most: for as "
                "long as the service keeps tasks."
            )
        ),
    ] = None

    delay: Annotated[
        int | float | None,
        msgspec.Meta(description="Seconds from now on for which the task is not to begin."),
    ] = None
    not_before: Annotated[
        int | float | str | None,
        msgspec.Meta(
            description=(
                "When the task may begin, instead of a delay: milliseconds since 1970, or a time "
                "of ISO 8601 with its zone. At once if that is in the past."
            ),
            examples=["2026-11-29T17:46:54Z"],
        ),
    ] = None

    deadline: Annotated[
        int | float | None,
        msgspec.Meta(
            description=(
                "Seconds from now on after which the task fails as `deadline_exceeded` unless it "
                "has ended, whatever it is doing."
            )
        ),
    ] = None

    def request(self, defaults: RequestDefaults) -> TaskRequest:
        """The request as it was meant. The use case checks it."""
        # By name, so that a field that is declared is passed on.
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        if self.messages is not None:
            given["messages"] = tuple(self.messages)
        if isinstance(self.not_before, str):
            given["not_before"] = milliseconds_of(self.not_before)
        for name in WHOLE_NUMBERS:
            if given[name] is not None:
                given[name] = int(given[name])  # 10.0 is a whole number in JSON
        return defaults.request(**given)


class RequestBody(StartBody, rename="camel", kw_only=True):
    """The body that a task was started with, the defaults of the settings filled in."""

    history: list[dict[str, Any]] | None = None
    """The conversation of the task before, its answer included."""

    @staticmethod
    def of(request: TaskRequest) -> "RequestBody":
        return RequestBody(
            prompt=request.prompt,
            messages=_plain(request.messages),
            system=request.system,
            model=request.model,
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            options=dict(request.options) or None,
            previous_task_id=request.previous_task_id,
            metadata=dict(request.metadata),
            ttl=request.ttl,
            delay=request.delay,
            not_before=request.not_before,
            deadline=request.deadline,
            history=_plain(request.history),
        )


def _plain(messages: Sequence[Message]) -> list[dict[str, Any]] | None:
    return [dict(each) for each in messages] or None


class StartedBody(msgspec.Struct, rename="camel", omit_defaults=True):
    success: bool
    task_id: str
    message_id: str | None
    message: str
    status: str
    stream_url: str
    retry_of: str | None = None
    """The task that was retried. Only in the response to a retry."""
    not_before: int | None = None
    """When a task that is delayed may begin, in milliseconds since the Unix epoch."""
    deadline: int | None = None
    """When it fails unless it has ended, in the same way. Only if the start says."""


class StatusBody(msgspec.Struct, rename="camel"):
    task_id: str
    status: str
    error: str | None


class UsageBody(msgspec.Struct, rename="camel"):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    reasoning_tokens: int | None
    cached_tokens: int | None
    estimated: bool
    """Whether the model told no numbers: these follow from the numbers of characters."""


class ToolCallBody(msgspec.Struct):
    index: int
    id: str
    name: str
    arguments: str
    """JSON, as the model wrote it."""


class FailureBody(msgspec.Struct):
    code: str
    message: str
    retryable: bool


class TaskBody(msgspec.Struct, rename="camel", kw_only=True):
    """The whole record. Times are milliseconds since the Unix epoch."""

    task_id: str
    status: str
    attempt: int
    request: RequestBody | None
    """Null: the store has lost it."""
    retry_of: str | None
    """The task whose request this one starts anew, if it is a retry."""
    created_at: int
    not_before: int | None
    """Until when the start of the task puts it off. Null: it may begin at once."""
    deadline: int | None
    """When the task fails unless it has ended. Null: it has no deadline."""
    updated_at: int
    started_at: int | None
    finished_at: int | None
    message_id: str | None
    model: str | None
    finish_reason: str | None
    usage: UsageBody | None
    error: FailureBody | None
    stream_url: str
    """Path and query of the stream. Where API keys are needed, it holds a token in place of one."""
    valid: bool | None
    """Whether the text parses and fits the schema that the request gave. Null: no schema was given,
    the answer is not whole, or it could not be checked."""
    tool_calls: list[ToolCallBody]
    refusal: str
    """The part of the text with which the model refuses."""
    annotations: list[dict[str, Any]]
    """What the model's server notes about the text, in its own form."""
    reasoning: str
    text: str


def usage_body(usage: Usage | None) -> UsageBody | None:
    return None if usage is None else UsageBody(**asdict(usage))


def failure_body(failure: Failure | None) -> FailureBody | None:
    return None if failure is None else FailureBody(**asdict(failure))


def task_body(found: TaskWithAnswer, stream_url: str) -> TaskBody:
    task, answer = found.task, found.answer
    return TaskBody(
        task_id=task.id,
        status=task.status,
        attempt=task.attempt,
        request=None if found.request is None else RequestBody.of(found.request),
        retry_of=task.retry_of,
        created_at=task.created_at,
        not_before=task.not_before,
        deadline=task.deadline,
        updated_at=task.updated_at,
        started_at=task.started_at,
        finished_at=task.finished_at,
        message_id=task.message_id,
        model=task.model,
        finish_reason=task.finish_reason,
        usage=usage_body(task.usage),
        error=failure_body(task.failure),
        stream_url=stream_url,
        valid=task.valid,
        tool_calls=[ToolCallBody(**asdict(call)) for call in answer.tool_calls],
        refusal=answer.refusal,
        annotations=[dict(each) for each in answer.annotations],
        reasoning=answer.reasoning,
        text=answer.text,
    )
