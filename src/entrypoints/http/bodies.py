"""What the API takes and gives: JSON in camelCase. Bounds are the domain's; here only shapes."""

from typing import Annotated

import msgspec

from domain.task import (
    MAX_TOKENS_LIMIT,
    METADATA_PAIRS_LIMIT,
    PROMPT_LIMIT,
    TEMPERATURE_LIMIT,
    Message,
    Role,
    Task,
    TaskRequest,
)

DEFAULT_MAX_TOKENS = 1_000
DEFAULT_TEMPERATURE = 0.7


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
        int | None,
        msgspec.Meta(description=f"1 to {MAX_TOKENS_LIMIT:,}. Default {DEFAULT_MAX_TOKENS:,}."),
    ] = None
    temperature: Annotated[
        float | None,
        msgspec.Meta(description=f"0 to {TEMPERATURE_LIMIT:g}. Default {DEFAULT_TEMPERATURE}."),
    ] = None
    metadata: Annotated[
        dict[str, str] | None,
        msgspec.Meta(description=f"At most {METADATA_PAIRS_LIMIT} pairs, returned untouched."),
    ] = None

    def request(self, default_model: str) -> TaskRequest:
        """Raises InvalidRequest."""
        return TaskRequest(
            model=default_model if self.model is None else self.model,
            max_tokens=DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens,
            temperature=DEFAULT_TEMPERATURE if self.temperature is None else self.temperature,
            prompt=self.prompt,
            messages=tuple(Message(each.role, each.content) for each in self.messages or ()),
            system=self.system,
            metadata=self.metadata or {},
        )


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


class FailureBody(msgspec.Struct):
    code: str
    message: str
    retryable: bool


class RequestBody(msgspec.Struct, rename="camel"):
    prompt: str | None
    messages: list[ChatMessage] | None
    system: str | None
    model: str
    max_tokens: int
    temperature: float
    metadata: dict[str, str]


class TaskBody(msgspec.Struct, rename="camel", kw_only=True):
    """The whole record. Times are milliseconds since the Unix epoch."""

    task_id: str
    status: str
    attempt: int
    request: RequestBody
    created_at: int
    updated_at: int
    started_at: int | None
    finished_at: int | None
    message_id: str | None
    model: str | None
    finish_reason: str | None
    usage: UsageBody | None
    error: FailureBody | None
    text: str
    stream_url: str
    """Path and query of the stream; where API keys are needed, with a token in place of one."""


class HealthBody(msgspec.Struct):
    status: str
    checks: dict[str, str] = {}


def task_body(task: Task, text: str, stream_url: str) -> TaskBody:
    request, usage, failure = task.request, task.usage, task.failure
    messages = [ChatMessage(each.role, each.content) for each in request.messages]
    return TaskBody(
        task_id=task.id,
        status=task.status,
        attempt=task.attempt,
        request=RequestBody(
            request.prompt,
            messages or None,
            request.system,
            request.model,
            request.max_tokens,
            request.temperature,
            dict(request.metadata),
        ),
        created_at=task.created_at,
        updated_at=task.updated_at,
        started_at=task.started_at,
        finished_at=task.finished_at,
        message_id=task.message_id,
        model=task.model,
        finish_reason=task.finish_reason,
        usage=None
        if usage is None
        else UsageBody(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
        error=None
        if failure is None
        else FailureBody(failure.code, failure.message, failure.retryable),
        text=text,
        stream_url=stream_url,
    )
