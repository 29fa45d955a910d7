"""What the API takes and gives: JSON in camelCase. Bounds are the domain's; here only shapes."""

from typing import Annotated, Any

import msgspec
from litestar.openapi.spec import OpenAPIType, Schema

from domain.errors import Fault, InvalidRequest
from domain.request import (
    MAX_TOKENS_LIMIT,
    MESSAGES_LIMIT,
    METADATA_KEY_LIMIT,
    METADATA_PAIRS_LIMIT,
    METADATA_VALUE_LIMIT,
    MODEL_NAME_LIMIT,
    PROMPT_LIMIT,
    TEMPERATURE_LIMIT,
    Message,
    Role,
    TaskRequest,
)
from domain.task import Task

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
        int | float | None,
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
        defaults: dict[str, Any] = {
            "model": default_model,
            "max_tokens": DEFAULT_MAX_TOKENS,
            "temperature": DEFAULT_TEMPERATURE,
        }
        # By name, so that a field that is declared is passed on.
        named = {name: getattr(self, name) for name in self.__struct_fields__}
        given = {name: value for name, value in named.items() if value is not None}
        if self.messages is not None:
            given["messages"] = tuple(Message(each.role, each.content) for each in self.messages)
        if self.max_tokens is not None:
            given["max_tokens"] = _whole(self.max_tokens)
        return TaskRequest(**(defaults | given))

    @staticmethod
    def of(request: TaskRequest) -> "StartBody":
        """The body that this request came from, its defaults filled in."""
        body = msgspec.convert(request, StartBody, from_attributes=True)
        body.messages = body.messages or None
        return body


def _whole(number: float) -> int:
    """10.0 is a whole number in JSON. Raises InvalidRequest for one that is none."""
    if isinstance(number, float) and not number.is_integer():
        raise InvalidRequest([Fault("max_tokens", "must be a whole number")])
    return int(number)


_SOMETHING = r"[^\s\x1c-\x1f\x85]"  # what Python takes for white space, and more than others do
_START_BOUNDS: dict[str, dict[str, Any]] = {
    "prompt": {"pattern": _SOMETHING, "max_length": PROMPT_LIMIT},
    "system": {"pattern": _SOMETHING, "max_length": PROMPT_LIMIT},
    "messages": {"max_items": MESSAGES_LIMIT},
    "model": {"pattern": r"^[ -~]*[!-~][ -~]*$", "max_length": MODEL_NAME_LIMIT},
    "maxTokens": {
        "one_of": [Schema(type=OpenAPIType.INTEGER), Schema(type=OpenAPIType.NULL)],
        "minimum": 1,
        "maximum": MAX_TOKENS_LIMIT,
    },
    "temperature": {"minimum": 0, "maximum": TEMPERATURE_LIMIT},
    "metadata": {
        "max_properties": METADATA_PAIRS_LIMIT,
        "property_names": Schema(min_length=1, max_length=METADATA_KEY_LIMIT),
        "additional_properties": Schema(type=OpenAPIType.STRING, max_length=METADATA_VALUE_LIMIT),
    },
}


def describe_bounds(schemas: dict[str, Schema]) -> None:
    """Add to the API's description what the domain checks: in the types above it would be checked
    there, fault by fault and in other words."""
    start = schemas["StartBody"]
    for name, bounds in _START_BOUNDS.items():
        for key, value in bounds.items():
            setattr((start.properties or {})[name], key, value)
    message = schemas["ChatMessage"]
    (message.properties or {})["content"] = Schema(type=OpenAPIType.STRING, pattern=_SOMETHING)
    start.additional_properties = message.additional_properties = False
    nothing = Schema(type=[OpenAPIType.ARRAY, OpenAPIType.NULL], max_items=0)
    start.one_of = [
        Schema(
            required=["prompt"],
            properties={"prompt": Schema(type=OpenAPIType.STRING), "messages": nothing},
        ),
        Schema(
            required=["messages"],
            properties={
                "messages": Schema(type=OpenAPIType.ARRAY, min_items=1),
                "prompt": Schema(type=OpenAPIType.NULL),
            },
        ),
    ]


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
    """Path and query of the stream; where API keys are needed, with a token in place of one."""
    text: str


class HealthBody(msgspec.Struct):
    status: str
    checks: dict[str, str] = {}


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
        usage=None
        if usage is None
        else UsageBody(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
        error=None
        if failure is None
        else FailureBody(failure.code, failure.message, failure.retryable),
        stream_url=stream_url,
        text=text,
    )
