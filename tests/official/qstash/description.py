"""Upstash's own description of QStash's API, with what it says in words put into its schemas, and
what is wrong in it put right. Each change says why it is needed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

Json = dict[str, Any]
DESTINATION = "http://127.0.0.1:9/"
"""Nothing listens there: a message for it waits for its retries."""
GROUP = "group-of-the-tests"
"""A URL group that is there."""
ERROR = {"$ref": "#/components/schemas/Error"}
_URL = {"type": "string", "enum": [DESTINATION, f"{DESTINATION}a?b=c"]}
_NAME = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,40}$"}
_NO_NAME = {"type": "string", "pattern": "^[A-Za-z0-9._-]{0,40}$"}
_KEY = {"type": "string", "pattern": r"^[^/\x00-\x1f\x7f]+$"}
"""Of flow control: it comes with messages in a header."""
_DURATION = {"type": "string", "pattern": "^([1-9][0-9]{0,3}[smhd]){1,3}$"}
_WHOLE = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}
_HEADERS: Json = {
    # The formats of these are told in words, in tables and by examples only.
    "Upstash-Timeout": _DURATION,
    "Upstash-Delay": _DURATION,
    "Upstash-Not-Before": _WHOLE,
    "Upstash-Retries": _WHOLE,
    "Upstash-Deduplication-Id": {"type": "string", "pattern": "^[^:]*$"},
    "Upstash-Callback": _URL,
    "Upstash-Failure-Callback": _URL,
    "Upstash-Redact-Fields": {
        "type": "string",
        "enum": ["body", "headers", "body, header[Authorization]"],
    },
    "Upstash-Cron": {
        "type": "string",
        "enum": ["*/5 * * * *", "CRON_TZ=America/New_York 0 0 1 1 *"],
    },
    "Upstash-Schedule-Id": _NAME,
    # No schema says which text is an expression, nor that each of the next two needs the other one.
    "Upstash-Retry-Delay": None,
    "Upstash-Flow-Control-Key": None,
    "Upstash-Flow-Control-Value": None,
}


def patched(known: Mapping[str, str]) -> Json:
    """Return the description as the tests hold the local QStash to it. `known`: what there is of
    what each parameter of a path names."""
    text = Path(__file__).with_name("qstash-openapi.yaml").read_text()
    described: Json = yaml.safe_load(text)
    for method, operation in _operations(described):
        _patch_parameters(method, operation)
        for each in operation.get("parameters", []):
            if each["in"] == "path" and each["name"] in known:
                each["example"] = known[each["name"]]
        _patch_responses(operation)
    # The token in the query has tests of its own; here it would replace the header.
    described["security"] = [{"bearerAuth": []}]
    paths, schemas = described["paths"], described["components"]["schemas"]
    _patch_publishes(paths)
    _patch_bodies(paths)
    # Both SDKs call an honored cancel CANCELED, and the Python SDK fails on CANCELLED; and the
    # filter lacks FAILED, which its own table explains.
    schemas["LogEntry"]["properties"]["state"]["enum"].append("CANCELED")
    for each in paths["/v2/logs"]["get"]["parameters"]:
        if each["name"] == "state":
            each["schema"]["enum"] += ["CANCELED", "FAILED"]
    # Both SDKs pause and resume a schedule with PATCH.
    for verb in ("pause", "resume"):
        item = paths[f"/v2/schedules/{{scheduleId}}/{verb}"]
        item["patch"] = {**item["post"], "summary": f"{verb} by the SDKs"}
    # Pinning nothing is refused ("when the parallelism, rate or period values are invalid").
    for each in paths["/v2/flowControl/{flowControlKey}/pin"]["post"]["parameters"]:
        each["required"] = each["name"] in ("flowControlKey", "parallelism", "rate")
    return described


def _operations(described: Json) -> Iterator[tuple[str, Json]]:
    for methods in described["paths"].values():
        yield from methods.items()


def _patch_parameters(method: str, operation: Json) -> None:
    kept: dict[tuple[str, str], Json] = {}
    for each in operation.get("parameters", []):
        name, place = each["name"], each["in"]
        if place == "header" and ("*" in name or _HEADERS.get(name, {}) is None):
            continue  # a star stands for many headers
        if name == "cursor":
            continue  # it is what another call has answered; no schema says so
        if place == "header":
            each["schema"] = _HEADERS.get(name, each["schema"])
        elif place == "path" and name == "destination":
            each["schema"] = _destination()
        elif place == "path":
            # A key may be any text that a header can have. A group that is deleted need not exist,
            # so any name will do.
            any_name = name == "flowControlKey" or (method, name) == ("delete", "urlGroupName")
            each["schema"] = _KEY if any_name else _NAME
        elif each["schema"]["type"] == "array":
            each["schema"] = {**each["schema"], "items": _value(name, each["schema"]["items"])}
            each["schema"]["minItems"] = 1
        else:
            each["schema"] = _value(name, each["schema"])
        kept[name, place] = each  # once: the queue of an enqueue is described twice
    if kept:
        operation["parameters"] = list(kept.values())


def _value(name: str, schema: Json) -> Json:
    """That of a parameter in a query."""
    if schema["type"] == "integer":
        if name in ("fromDate", "toDate", "responseStatus"):
            return {"minimum": 1 - 10**18, "maximum": 10**18 - 1, **schema}
        # "Can be at most a week", as the SDKs say.
        most = 604_800 if name == "period" else 10**15 - 1
        return {"minimum": 1, "maximum": most, **schema}
    if schema == {"type": "string"}:
        # A comma separates two values, but not in a URL or a path. None may be empty.
        pattern = "^[^,]+(,[^,]+)*$"
        return (
            {**schema, "minLength": 1}
            if name in ("url", "path")
            else {**schema, "pattern": pattern}
        )
    return schema


def _destination() -> Json:
    return {"type": "string", "enum": [DESTINATION, f"{DESTINATION}a?b=c", GROUP]}


def _patch_responses(operation: Json) -> None:
    refused = {"description": "Refused", "content": {"application/json": {"schema": ERROR}}}
    # Few operations say how they refuse; each may: a bad request, no token, what is not there, what
    # is too many or too large.
    for status in ("400", "401", "404", "412", "413", "429"):
        operation["responses"].setdefault(status, refused)


def _patch_publishes(paths: Json) -> None:
    published = {"$ref": "#/components/schemas/PublishResponse"}
    each = {"$ref": "#/components/schemas/PublishToUrlGroupResponse"}
    # Both SDKs read a list from a publish to a URL group, not an object with `messages`. `oneOf`
    # could not hold, since an answer to a publish fits both of its schemas.
    result = {"anyOf": [{**published, "required": ["messageId"]}, {"type": "array", "items": each}]}
    answer = {"description": "Published", "content": {"application/json": {"schema": result}}}
    for path in ("/v2/publish/{destination}", "/v2/enqueue/{queueName}/{destination}"):
        # 201, and 202 for a duplicate, is what QStash's documentation of deduplication says.
        paths[path]["post"]["responses"] |= {"200": answer, "201": answer, "202": answer}
    refused = {"type": "object", "required": ["error"]}
    batch = {"type": "array", "items": {"anyOf": [*result["anyOf"], refused]}}
    paths["/v2/batch"]["post"]["responses"]["200"]["content"]["application/json"] = {
        "schema": batch
    }
    for path in ("/v2/messages/{messageId}", "/v2/messages"):
        operation = paths[path]["delete"]
        # 202 is what the documentation of cancelling says.
        operation["responses"]["202"] = operation["responses"]["200"]


def _patch_bodies(paths: Json) -> None:
    for path in ("/v2/publish/{destination}", "/v2/enqueue/{queueName}/{destination}"):
        paths[path]["post"]["requestBody"] = _any_body()
    paths["/v2/schedules/{destination}"]["post"]["requestBody"] = _any_body()
    # The formats of names and URLs are told in words only.
    queue = _body_of(paths["/v2/queues"]["post"])["properties"]
    queue["queueName"] = _NAME
    queue["parallelism"] = {**queue["parallelism"], "maximum": 10**15 - 1}
    message = _body_of(paths["/v2/batch"]["post"])["items"]["properties"]
    # Of headers, too. A header may be a number there, and be repeated.
    value = {"type": ["string", "number"]}
    values = {"anyOf": [value, {"type": "array", "items": value}]}
    message["headers"] = {"type": ["object", "null"], "additionalProperties": values}
    # Upstash Workflow's SDK has JSON as a body, too. The Python SDK has null for no queue.
    del message["body"]["type"]
    message["queue"] = _or_null(message["queue"])
    endpoints = paths["/v2/topics/{urlGroupName}/endpoints"]
    added = _body_of(endpoints["post"])["properties"]["endpoints"]
    added["minItems"] = 1
    added["items"]["properties"] = {"url": _URL, "name": _or_null(_NO_NAME)}
    # "Either name or url must be provided."
    removed = _body_of(endpoints["delete"])["properties"]["endpoints"]
    removed["minItems"] = 1
    text = {"type": "string"}
    removed["items"] = {
        "anyOf": [
            {"type": "object", "properties": {one: text, other: _or_null(text)}, "required": [one]}
            for one, other in (("url", "name"), ("name", "url"))
        ]
    }


def _or_null(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def _body_of(operation: Json) -> Json:
    schema: Json = operation["requestBody"]["content"]["application/json"]["schema"]
    return schema


def _any_body() -> Json:
    """The body of a message is passed on as it is, JSON or not."""
    return {"content": {"text/plain": {"schema": {"type": "string"}}}}
