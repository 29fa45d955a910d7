"""LONGTASK_MODELS: which upstream has which models, and who may use them.

The map is JSON, in the setting itself or in the file that it names. Everything that is wrong with
it is told by its path.
"""

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from application.model_rules import EVERYBODY, ModelRules, ServedModels
from domain.model_names import is_exact, matches_any, overlap
from domain.request import MODEL_NAME_LIMIT
from entrypoints.outside_text import header_word
from entrypoints.settings.group import http_url
from entrypoints.settings.json_setting import read_json_object

T = TypeVar("T")

PrefillServer = Literal["vllm", "sglang", "llama_cpp", "mistral", "deepseek", "kimi", "qwen"]
"""How a server goes on from the beginning of an answer."""


def _pattern(text: str) -> str:
    if not (text.strip() == text and text.isascii() and text.isprintable()):
        raise ValueError("must be printable ASCII without white space around it")
    return text


def _some(values: tuple[T, ...]) -> tuple[T, ...]:
    if not values:
        raise ValueError("must not be empty")
    return values


def _key(secret: SecretStr) -> SecretStr:
    return SecretStr(header_word(secret.get_secret_value()))


_Pattern = Annotated[
    str, StringConstraints(min_length=1, max_length=MODEL_NAME_LIMIT), AfterValidator(_pattern)
]
_Patterns = Annotated[tuple[_Pattern, ...], AfterValidator(_some)]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$")]
_Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=to_camel, allow_inf_nan=False
    )


class MappedUpstream(_Part):
    name: _Name
    models: _Patterns
    names: dict[_Pattern, _Pattern] = {}
    demo: bool = False
    base_url: Annotated[str, AfterValidator(http_url)] | None = None
    api_key: Annotated[SecretStr, AfterValidator(_key)] | None = None
    api_key_env: _Variable | None = None
    api: Literal["chat", "responses"] = "chat"
    prefill: PrefillServer | None = None
    prefill_unasked: bool | None = None
    read_timeout: Annotated[float, Field(gt=0)] | None = None
    delete_responses: bool = False
    fallback: tuple[_Name, ...] = ()

    @property
    def continues_by_prefill(self) -> bool:
        return self.demo or self.prefill is not None

    @property
    def keeps(self) -> bool:
        """Whether it is asked for answers that it keeps."""
        return not self.demo and self.api == "responses"


class ModelMap(_Part):
    upstreams: Annotated[tuple[MappedUpstream, ...], AfterValidator(_some)]
    owners: dict[str, _Patterns] = {}

    @property
    def names(self) -> str:
        """The names of all upstreams, for people."""
        return ", ".join(each.name for each in self.upstreams)

    @property
    def named_owners(self) -> set[str]:
        return {owner for owner in self.owners if owner != EVERYBODY}

    def upstream_of(self, model: str) -> MappedUpstream | None:
        """The upstream that has a model."""
        return next((each for each in self.upstreams if matches_any(each.models, model)), None)

    def rules(self) -> ModelRules:
        served = tuple(
            ServedModels(each.models, each.continues_by_prefill, each.keeps)
            for each in self.upstreams
        )
        return ModelRules(served, self.owners)


def parse_model_map(text: str) -> ModelMap:
    """Read a map, or the file of one. Raises ValueError with every fault, a line each."""
    content = read_json_object(text)
    try:
        # As JSON once more, since pydantic takes a list for a tuple only there.
        found = ModelMap.model_validate_json(json.dumps(content, default=float))
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        told = [f"{_path(each['loc'])}{_words(each['msg'])}{_meant(each)}" for each in faults]
        raise ValueError("\n".join(dict.fromkeys(told))) from None
    if wrong := list(_faults(found)):
        raise ValueError("\n".join(wrong))
    return found


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for each in location:
        if isinstance(each, int):
            path += f"[{each}]"
        elif each != "[key]":
            path += f".{each}" if path else each
    return f"{path}: " if path else ""


def _words(message: str) -> str:
    """What pydantic says, as this service says it."""
    words = {
        "Field required": "is required",
        "Extra inputs are not permitted": "is not known",
        "Input should be a valid array": "must be a list: [...]",
    }.get(message, message)
    return re.sub(r"^\w+ should", "must", words.removeprefix("Value error, "))


def _meant(fault: ErrorDetails) -> str:
    """Return the name of a field that an unknown one is likely to stand for, as a question."""
    if fault["type"] != "extra_forbidden":
        return ""
    group = ModelMap if len(fault["loc"]) == 1 else MappedUpstream
    known = {to_camel(name).lower(): to_camel(name) for name in group.model_fields}
    like = get_close_matches(str(fault["loc"][-1]).lower().replace("_", ""), known, 1)
    return f": is {known[like[0]]} meant?" if like else f"; known are {', '.join(known.values())}"


def _faults(found: ModelMap) -> Iterator[str]:
    """What makes no sense in a map of the right form."""
    names = [each.name for each in found.upstreams]
    owned: dict[str, int] = {}
    for index, each in enumerate(found.upstreams):
        path = f"upstreams[{index}]"
        if each.name in names[:index]:
            yield f"{path}.name: {each.name} is the name of another upstream too"
        for place, pattern in enumerate(each.models):
            if pattern in owned:
                yield (
                    f"{path}.models[{place}]: {pattern} stands in upstreams[{owned[pattern]}] too, "
                    "and the first one counts"
                )
            owned.setdefault(pattern, index)
        yield from (f"{path}.{fault}" for fault in _upstream_faults(each))
        for place, name in enumerate(each.fallback):
            if (fault := _fallback_fault(found, each, place)) is not None:
                yield f"{path}.fallback[{place}]: {name} {fault}"
    for owner, patterns in found.owners.items():
        for place, pattern in enumerate(patterns):
            if not any(overlap(pattern, known) for known in owned):
                yield f"owners.{owner}[{place}]: {pattern} matches no model of any upstream"


def _upstream_faults(upstream: MappedUpstream) -> Iterator[str]:
    for pattern, name in upstream.names.items():
        if not is_exact(name):
            yield f"names.{pattern}: {name} is no name, but a pattern"
    if upstream.demo:
        for name in sorted(upstream.model_fields_set & _OF_A_SERVER):
            yield f"{to_camel(name)}: the demo model has none"
        return
    if upstream.api_key is not None and upstream.api_key_env is not None:
        yield "apiKeyEnv: is given together with apiKey: choose one"
    if upstream.delete_responses and not upstream.keeps:
        yield "deleteResponses: goes with api responses only"
    if upstream.prefill is None:
        if upstream.prefill_unasked is not None:
            yield "prefillUnasked: goes with prefill only"
    elif upstream.keeps:
        yield "prefill: background responses go on without it"
    elif upstream.base_url is None:
        yield "prefill: OpenAI has none, and there is no baseUrl"
    elif upstream.prefill == "deepseek" and (fault := deepseek_fault(upstream.base_url)):
        yield f"baseUrl: {fault}"


def _fallback_fault(found: ModelMap, upstream: MappedUpstream, place: int) -> str | None:
    name = upstream.fallback[place]
    other = next((each for each in found.upstreams if each.name == name), None)
    if other is None:
        return f"is the name of no upstream, which are {found.names}"
    if name == upstream.name:
        return "is this upstream itself"
    if name in upstream.fallback[:place]:
        return "stands here twice"
    served = (*other.models, *other.names)
    if not any(overlap(one, another) for one in upstream.models for another in served):
        return "has none of these models: say in its names what it calls them"
    if other.keeps and not upstream.keeps:
        return (
            f"keeps its answers (api responses), and {upstream.name} does not: give the same "
            "server a second upstream with api chat"
        )
    return None


_OF_A_SERVER = {
    *("base_url", "api_key", "api_key_env", "api", "prefill"),
    *("prefill_unasked", "delete_responses"),
}


def deepseek_fault(url: str) -> str | None:
    """What is wrong with the URL of DeepSeek for prefill."""
    address = urlsplit(url)
    if address.hostname == "api.deepseek.com" and address.path != "/beta":
        return "DeepSeek has prefill at its beta address only: https://api.deepseek.com/beta"
    return None
