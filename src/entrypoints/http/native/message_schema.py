"""The messages and the options of a request, for the API's description: what the domain checks, so
far as a schema can say it. It cannot say that a tool's result follows its call."""

from typing import Any

from litestar.openapi.spec import OpenAPIType, Reference, Schema

from domain.media import URL_LIMIT
from domain.options import ACCEPTED_VALUES, OPTIONS_LIMIT, RESERVED_OPTIONS

SOMETHING = r"[^\s\x1c-\x1f\x85]"
"""No white space, by Python's meaning of it."""
_KNOWN_PARTS = ("text", "refusal", "image_url", "input_audio", "file")
_WEB = r"[hH][tT][tT][pP]{s}://([^\x00-\x20\x7f/?#@]*@)?[^\x00-\x20\x7f/?#@:][^\x00-\x20\x7f]*"
_QUADS = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)"
_DATA = rf"[dD][aA][tT][aA]:[^,]{{0,900}};[bB][aA][sS][eE]64,{_QUADS}"

_STRING = Schema(type=OpenAPIType.STRING)
_NULL = Schema(type=OpenAPIType.NULL)


def message_schemas(http_media: bool) -> dict[str, Schema]:
    """Return the schemas by their names. `http_media`: whether URLs of media may be http."""
    web = _WEB.format(s="[sS]?" if http_media else "[sS]")
    return {
        "Message": Schema(
            description="A message in the form of OpenAI's chat completions.",
            any_of=[_asking(), _answering(), _tool_result(), _function_result()],
        ),
        "ToolCall": _object(id=_STRING),
        "ContentPart": Schema(
            description=(
                "A part of a content. Parts of types that are not named here are passed on."
            ),
            any_of=[
                _part("text", _STRING),
                _part("refusal", _STRING),
                _part("image_url", _object(url=_ref("MediaUrl"))),
                _part("input_audio", _object(data=_STRING)),
                _part("file", Schema(type=OpenAPIType.OBJECT)),
                _object(type=Schema(type=OpenAPIType.STRING, schema_not=Schema(enum=_KNOWN_PARTS))),
            ],
        ),
        "MediaUrl": Schema(
            description="The model's server fetches it.",
            type=OpenAPIType.STRING,
            any_of=[
                Schema(pattern=f"^{web}$", max_length=URL_LIMIT),
                Schema(pattern=f"^{_DATA}$"),
            ],
            examples=["https://example.org/cat.png"],
        ),
    }


def options_schema(refused: tuple[str, ...]) -> dict[str, Any]:
    """Return what the schema of `options` has beside its type. `refused`: the names that the
    settings refuse, which may end in `*`."""
    beginnings = [
        Schema(pattern=f"^{each[:-1].replace('.', '[.]')}") for each in refused if each[-1] == "*"
    ]
    names = [*RESERVED_OPTIONS, *(each for each in refused if each[-1] != "*")]
    return {
        "property_names": Schema(schema_not=Schema(any_of=[Schema(enum=names), *beginnings])),
        "properties": {name: Schema(enum=values) for name, values in ACCEPTED_VALUES.items()},
        "max_properties": OPTIONS_LIMIT,
    }


def _asking() -> Schema:
    roles = Schema(enum=("system", "developer", "user"))
    return _object(role=roles, content=_content(Schema(type=OpenAPIType.STRING, pattern=SOMETHING)))


def _answering() -> Schema:
    calls = Schema(type=OpenAPIType.ARRAY, items=_ref("ToolCall"))
    some = Schema(type=OpenAPIType.ARRAY, items=_ref("ToolCall"), min_items=1)
    role = Schema(enum=("assistant",))
    with_content = _object(role=role, content=_content(_STRING))
    with_content.properties = {
        **(with_content.properties or {}),
        "tool_calls": Schema(any_of=[calls, _NULL]),
    }
    with_calls = _object(role=role, tool_calls=some)
    with_calls.properties = {**(with_calls.properties or {}), "content": _NULL}
    return Schema(any_of=[with_content, with_calls])


def _tool_result() -> Schema:
    role = Schema(enum=("tool",))
    return _object(role=role, tool_call_id=_STRING, content=_content(_STRING))


def _function_result() -> Schema:
    role = Schema(enum=("function",), deprecated=True)
    return _object(role=role, content=Schema(any_of=[_content(_STRING), _NULL]))


def _content(text: Schema) -> Schema:
    parts = Schema(type=OpenAPIType.ARRAY, items=_ref("ContentPart"), min_items=1)
    return Schema(any_of=[text, parts])


def _part(kind: str, value: Schema) -> Schema:
    return _object(type=Schema(enum=(kind,)), **{kind: value})


def _object(**required: Schema | Reference) -> Schema:
    return Schema(type=OpenAPIType.OBJECT, required=tuple(required), properties=dict(required))


def _ref(name: str) -> Reference:
    return Reference(f"#/components/schemas/{name}")
