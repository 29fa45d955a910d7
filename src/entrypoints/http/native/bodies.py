"""What the routes take and return: JSON in camelCase. These are shapes only; what they hold is
checked by the domain."""

from dataclasses import asdict, dataclass
from typing import Annotated

import msgspec

from domain.request import (
    MAX_TOKENS_LIMIT,
    METADATA_PAIRS_LIMIT,
    PROMPT_LIMIT,
    TEMPERATURE_LIMIT,
    Message,
    Role,
    TaskRequest,
)
from domain.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDefaults:
    """What the settings say for requests that do not say it. None is not sent to the model."""

    model: str
    max_tokens: int | None = None
    temperature: float | None = None


_OWN = "the service's, if it has one, else the model's own"


class ChatMessage(msgspec.Struct, forbid_unknown_fields=True):
    role: Role
    content: str


class StartBody(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Exactly one of `prompt` and `messages`."""

    prompt: Annotated[
        str | None,
        msgspec.Meta(
            description=f"1 to {PROMPT_LIMIT:,} characters.",
            examples=["Write a short story about a lighthouse."],
        ),
    ] = None
    messages: Annotated[
        list[ChatMessage] | None,
        msgspec.Meta(description=f"A conversation, at most {PROMPT_LIMIT:,} characters in all."),
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
    metadata: Annotated[
        dict[str, str] | None,
        msgspec.Meta(description=f"At most {METADATA_PAIRS_LIMIT} pairs, returned untouched."),
    ] = None

    def request(self, defaults: RequestDefaults) -> TaskRequest:
        """The request as it was meant. The use case checks it."""
        # By name, so that a field that is declared is passed on.
        named = {name: getattr(self, name) for name in self.__struct_fields__}
        given = {name: value for name, value in named.items() if value is not None}
        if self.messages is not None:
            given["messages"] = tuple(Message(each.role, each.content) for each in self.messages)
        if self.max_tokens is not None:
            given["max_tokens"] = int(self.max_tokens)  # 10.0 is a whole number in JSON
        return TaskRequest(**{**asdict(defaults), **given})

    @staticmethod
    def of(request: TaskRequest) -> "StartBody":
        """The body that this request came from, the defaults of the settings filled in."""
        body = msgspec.convert(request, StartBody, from_attributes=True)
        body.messages = body.messages or None
        return body


class StartedBody(msgspec.Struct, rename="camel"):
    success: bool
    task_id: str
    message_id: str | None
    message: str
    status: str
    stream_url: str


class StatusBody(msgspec.Struct, rename="camel"):
    task_id: str
    status: str
    error: str | None


class UsageBody(msgspec.Struct, rename="camel"):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    reasoning_tokens: int | None


class FailureBody(msgspec.Struct):
    code: str
    message: str
    retryable: bool


class TaskBody(msgspec.Struct, rename="camel", kw_only=True):
    """The whole record. Times are milliseconds since the Unix epoch."""

    task_id: str
    status: str
    attempt: int
    request: StartBody
    created_at: int
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
    text: str


def task_body(task: Task, text: str, stream_url: str) -> TaskBody:
    usage, failure = task.usage, task.failure
    return TaskBody(
        task_id=task.id,
        status=task.status,
        attempt=task.attempt,
        request=StartBody.of(task.request),
        created_at=task.created_at,
        updated_at=task.updated_at,
        started_at=task.started_at,
        finished_at=task.finished_at,
        message_id=task.message_id,
        model=task.model,
        finish_reason=task.finish_reason,
        usage=None if usage is None else UsageBody(**asdict(usage)),
        error=None
        if failure is None
        else FailureBody(failure.code, failure.message, failure.retryable),
        stream_url=stream_url,
        text=text,
    )
