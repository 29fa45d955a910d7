"""The body of our messages on QStash: the whole request, so that a delivery alone can make a lost
record anew."""

from dataclasses import asdict

import msgspec

from domain.errors import DomainError
from domain.request import Message, Role, TaskRequest
from domain.task import Task, check_task_id


class _Message(msgspec.Struct):
    role: Role
    content: str


class _Request(msgspec.Struct, rename="camel", omit_defaults=True):
    model: str
    max_tokens: int
    temperature: float
    prompt: str | None = None
    messages: list[_Message] = []
    system: str | None = None
    metadata: dict[str, str] = {}


class TaskMessage(msgspec.Struct, rename="camel", omit_defaults=True):
    task_id: str
    created_at: int
    max_retries: int
    """How many deliveries may follow the first. QStash does not tell the receiver."""
    request: _Request
    owner: str | None = None

    def task_request(self) -> TaskRequest:
        request = self.request
        return TaskRequest(
            model=request.model,
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            prompt=request.prompt,
            messages=tuple(Message(each.role, each.content) for each in request.messages),
            system=request.system,
            metadata=request.metadata,
        )


def encode(task: Task, max_retries: int) -> bytes:
    request = task.request
    return msgspec.json.encode(
        TaskMessage(
            task.id,
            task.created_at,
            max_retries,
            _Request(
                request.model,
                request.max_tokens,
                request.temperature,
                request.prompt,
                [_Message(**asdict(message)) for message in request.messages],
                request.system,
                dict(request.metadata),
            ),
            task.owner,
        )
    )


_decoder = msgspec.json.Decoder(TaskMessage)


def decode(body: bytes | bytearray) -> TaskMessage:
    """Raises ValueError for anything that `encode` does not give."""
    try:
        message = _decoder.decode(body)
        check_task_id(message.task_id)
        message.task_request()
    except (msgspec.DecodeError, UnicodeDecodeError, DomainError) as error:
        raise ValueError(str(error)) from error
    return message
