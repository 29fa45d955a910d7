"""What Litestar cannot tell in the API's description: the order of its routes, and the bounds of a
request, made from those that the domain checks."""

from typing import Any

from litestar.openapi.spec import (
    Discriminator,
    OpenAPI,
    OpenAPIFormat,
    OpenAPIType,
    Reference,
    Schema,
    Tag,
)

from domain.flow_control import AMOUNT_LIMIT, KEY_PATTERN, PERIOD_LIMIT
from domain.messages import MESSAGES_LIMIT
from domain.request import (
    BUDGET_LIMIT,
    MAX_TOKENS_LIMIT,
    METADATA_KEY_LIMIT,
    METADATA_PAIRS_LIMIT,
    METADATA_VALUE_LIMIT,
    MODEL_NAME_LIMIT,
    TEMPERATURE_LIMIT,
    RequestBounds,
)
from domain.request_times import DEADLINE_LIMIT
from domain.task_id import TASK_ID_PATTERN
from domain.webhook_url import MAX_URL_LENGTH
from entrypoints.http.native.message_schema import SOMETHING, message_schemas, options_schema
from entrypoints.times import EARLIEST_MILLISECONDS

_NULL = Schema(type=OpenAPIType.NULL)
_ISO_TIME = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME)
_WHOLE_OR_NULL = [Schema(type=OpenAPIType.INTEGER), _NULL]
_MESSAGE = Reference("#/components/schemas/Message")
_MESSAGES_OR_NULL = [
    Schema(type=OpenAPIType.ARRAY, items=_MESSAGE, max_items=MESSAGES_LIMIT),
    _NULL,
]
_START_BOUNDS: dict[str, dict[str, Any]] = {
    "prompt": {"pattern": SOMETHING},
    "system": {"pattern": SOMETHING},
    "messages": {"one_of": _MESSAGES_OR_NULL},
    "model": {"pattern": r"^[ -~]*[!-~][ -~]*$", "max_length": MODEL_NAME_LIMIT},
    "maxTokens": {
        "one_of": _WHOLE_OR_NULL,
        "minimum": 1,
        "maximum": MAX_TOKENS_LIMIT,
    },
    "deadline": {"one_of": _WHOLE_OR_NULL, "minimum": 1, "maximum": DEADLINE_LIMIT},
    "temperature": {"minimum": 0, "maximum": TEMPERATURE_LIMIT},
    "previousTaskId": {"pattern": f"^{TASK_ID_PATTERN}$"},
    "metadata": {
        "max_properties": METADATA_PAIRS_LIMIT,
        "property_names": Schema(min_length=1, max_length=METADATA_KEY_LIMIT),
        "additional_properties": Schema(type=OpenAPIType.STRING, max_length=METADATA_VALUE_LIMIT),
    },
}
_FLOW_BOUNDS: dict[str, dict[str, Any]] = {
    "key": {"pattern": f"^{KEY_PATTERN}$"},
    **{
        name: {"one_of": _WHOLE_OR_NULL, "minimum": 1, "maximum": limit}
        for name, limit in (
            ("parallelism", AMOUNT_LIMIT),
            ("rate", AMOUNT_LIMIT),
            ("period", PERIOD_LIMIT),
        )
    },
}


TAGS = [
    Tag("tasks", "Start tasks, look at them, follow and cancel them."),
    Tag("usage", "What was used, and what it cost."),
    Tag("operation", "For monitoring."),
    Tag("qstash", "Called by QStash."),
]
"""The groups of routes, those for users first."""


_EVENTS = {
    "followTask": "StreamEvent",
    "followTaskByPath": "StreamEvent",
    "watchTasks": "TaskChange",
}
"""The name of the events of each stream, by the id of its operation."""


def describe(api: OpenAPI, request_bounds: RequestBounds) -> None:
    """Complete the API's description."""
    order = [each.name for each in TAGS]

    def place(path: str) -> tuple[int, str]:
        item = paths[path]
        operation = item.get or item.post
        tags = (operation and operation.tags) or order[-1:]
        return order.index(tags[0]), path

    paths = api.paths or {}
    api.paths = {path: paths[path] for path in sorted(paths, key=place)}
    schemas = api.components.schemas or {}
    _describe_bounds(schemas, request_bounds)
    for operation in (item.get for item in api.paths.values() if item.get is not None):
        for response in (operation.responses or {}).values():
            content = getattr(response, "content", None) or {}
            if (stream := content.get("text/event-stream")) is not None:
                name = _EVENTS[operation.operation_id or ""]
                stream.schema = _described_events(stream.schema, name, schemas)


def _described_events(data: Schema | Reference, name: str, schemas: dict[str, Schema]) -> Schema:
    """The fields of each event, as OpenAPI 3.2 describes them, by the schema of its data, which
    gets this name."""
    if isinstance(data, Schema):
        data.discriminator = Discriminator("type")
        schemas[name] = data
    return Schema(
        type=OpenAPIType.OBJECT,
        description="An event of the stream.",
        required=["data"],
        properties={
            "id": Schema(type=OpenAPIType.STRING, description="The id to go on behind."),
            "data": Schema(
                type=OpenAPIType.STRING,
                content_media_type="application/json",
                content_schema=Reference(f"#/components/schemas/{name}"),
            ),
        },
    )


def _describe_bounds(schemas: dict[str, Schema], bounds: RequestBounds) -> None:
    """Add to the API's description what the domain checks. Were it written into the types of the
    bodies, msgspec would check it first, one fault at a time and in its own words."""
    schemas.update(message_schemas(bounds.http_media))
    start = schemas["StartBody"]
    options = options_schema(bounds.refused_options)
    ttl = {"one_of": _WHOLE_OR_NULL, "minimum": 1, "maximum": bounds.max_ttl}
    delay = {"one_of": _WHOLE_OR_NULL, "minimum": 0, "maximum": bounds.max_delay}
    _complete(start, {**_START_BOUNDS, "options": options, "ttl": ttl, "delay": delay})
    if not bounds.prefill:
        _complete(start, {"prefill": {"enum": [False, None]}})
    time = Schema(type=OpenAPIType.INTEGER, minimum=EARLIEST_MILLISECONDS)
    _complete(start, {"notBefore": {"one_of": [time, _ISO_TIME, _NULL]}})
    _complete(
        schemas["WebhookTarget"],
        {"url": {"format": OpenAPIFormat.URI, "max_length": MAX_URL_LENGTH}},
    )
    flow = schemas["FlowControlBody"]
    _complete(flow, _FLOW_BOUNDS)
    flow.any_of = [
        Schema(required=[name], properties={name: Schema(type=OpenAPIType.INTEGER)})
        for name in ("parallelism", "rate")
    ]
    budget = schemas["BudgetBody"]
    tokens = Schema(type=OpenAPIType.INTEGER)
    _complete(budget, {"tokens": {"one_of": [tokens], "minimum": 1, "maximum": BUDGET_LIMIT}})
    for strict in (start, schemas["WebhookTarget"], flow, budget):
        strict.additional_properties = False
    messages = {"one_of": _MESSAGES_OR_NULL}
    whole = {"one_of": _WHOLE_OR_NULL}
    _complete(
        schemas["RequestBody"],
        {
            **dict.fromkeys(("maxTokens", "ttl", "delay", "notBefore", "deadline"), whole),
            **dict.fromkeys(("messages", "history"), messages),
        },
    )
    # One of the two at most.
    start.any_of = [Schema(properties={name: _NULL}) for name in ("delay", "notBefore")]
    nothing = Schema(type=[OpenAPIType.ARRAY, OpenAPIType.NULL], max_items=0)
    start.one_of = [
        Schema(
            required=["prompt"],
            properties={"prompt": Schema(type=OpenAPIType.STRING), "messages": nothing},
        ),
        Schema(
            required=["messages"],
            properties={
                "messages": Schema(type=OpenAPIType.ARRAY, items=_MESSAGE, min_items=1),
                "prompt": Schema(type=OpenAPIType.NULL),
            },
        ),
    ]


def _complete(schema: Schema, fields: dict[str, dict[str, Any]]) -> None:
    for name, described in fields.items():
        for key, value in described.items():
            setattr((schema.properties or {})[name], key, value)
