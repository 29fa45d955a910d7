"""The body of a start: JSON in camelCase. This is a shape only; what it holds is checked by the
domain."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from domain.flow_control import AMOUNT_LIMIT, KEY_LIMIT, PERIOD_LIMIT, FlowControl
from domain.messages import Message
from domain.request import (
    BUDGET_LIMIT,
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
FLOW_NUMBERS = ("parallelism", "rate", "period")
"""Those of its flow control."""
_OWN = "the service's, if it has one, else the model's own"


class WebhookTarget(msgspec.Struct, forbid_unknown_fields=True):
    """Who is told that the task has ended."""

    url: Annotated[
        str,
        msgspec.Meta(
            description="An https URL, which is posted a message of Standard Webhooks.",
            examples=["https://example.com/hooks"],
        ),
    ]


class FlowControlBody(msgspec.Struct, forbid_unknown_fields=True):
    """At least one of `parallelism` and `rate`. All tasks of the caller that name the same key
    count together, by the limits of the newest."""

    key: Annotated[
        str,
        msgspec.Meta(
            description=f"1 to {KEY_LIMIT} letters, digits, `.`, `_` or `-`.", examples=["reports"]
        ),
    ]
    parallelism: Annotated[
        int | float | None,
        msgspec.Meta(description=f"How many run at the same time: 1 to {AMOUNT_LIMIT:,}."),
    ] = None
    rate: Annotated[
        int | float | None,
        msgspec.Meta(description=f"How many begin within one period: 1 to {AMOUNT_LIMIT:,}."),
    ] = None
    period: Annotated[
        int | float | None,
        msgspec.Meta(description=f"Seconds: 1 to {PERIOD_LIMIT:,}. Default: 1."),
    ] = None

    def flow_control(self) -> FlowControl:
        given = {name: getattr(self, name) for name in FLOW_NUMBERS}
        numbers = {name: int(value) for name, value in given.items() if value is not None}
        return FlowControl(key=self.key, **numbers)


class BudgetBody(msgspec.Struct, forbid_unknown_fields=True):
    """What all attempts of the task may use together."""

    tokens: Annotated[
        int | float,
        msgspec.Meta(
            description=(
                f"1 to {BUDGET_LIMIT:,}. The task fails as `budget_exceeded` within two seconds of "
                "going over, with what was said kept."
            ),
            examples=[50_000],
        ),
    ]


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

    prefill: Annotated[
        bool | None,
        msgspec.Meta(
            description=(
                "Whether the model's server may be asked to go on from what a lost attempt has "
                "said, instead of beginning anew. Default: the service's."
            )
        ),
    ] = None

    flow_control: Annotated[
        FlowControlBody | None,
        msgspec.Meta(description="How many tasks with the same key may run at once, or begin."),
    ] = None

    budget: Annotated[
        BudgetBody | None,
        msgspec.Meta(description="Default: none. The owner's limits count beside it."),
    ] = None

    webhook: Annotated[
        WebhookTarget | None,
        msgspec.Meta(description="Told once when the task has ended, whatever its end."),
    ] = None

    def request(self, defaults: RequestDefaults) -> TaskRequest:
        """The request as it was meant. The use case checks it."""
        # By name, so that a field that is declared is passed on.
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        if self.messages is not None:
            given["messages"] = tuple(self.messages)
        del given["webhook"], given["budget"]
        if self.budget is not None:
            given["budget_tokens"] = int(self.budget.tokens)
        if self.webhook is not None:
            given["webhook_url"] = self.webhook.url
        if self.flow_control is not None:
            given["flow_control"] = self.flow_control.flow_control()
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
        flow, budget = request.flow_control, request.budget_tokens
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
            prefill=request.prefill,
            flow_control=None if flow is None else FlowControlBody(**flow.to_fields()),
            budget=None if budget is None else BudgetBody(budget),
            webhook=None if request.webhook_url is None else WebhookTarget(request.webhook_url),
            history=_plain(request.history),
        )


def _plain(messages: Sequence[Message]) -> list[dict[str, Any]] | None:
    return [dict(each) for each in messages] or None
