"""The model: any server that speaks OpenAI's protocol, several of them, or the demo."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import PrivateAttr, SecretStr

from application.model_rules import ANY_MODEL, ModelRules
from domain.options import REFUSED_OPTIONS
from domain.request import MAX_TOKENS_LIMIT, TEMPERATURE_LIMIT
from entrypoints.settings.group import Group, http_url, parsed, secret_word, setting, words_of
from entrypoints.settings.model_map import MappedUpstream, ModelMap, parse_model_map

_OPTION = re.compile(r"[A-Za-z0-9_.-]+\*?|\*")


def _option_name(text: str) -> str:
    if not _OPTION.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of an option: only its end may be `*`")
    return text


def option_names(text: str) -> tuple[str, ...]:
    """Read `api_base,extra_*`. Raises ValueError with every fault, a line each."""
    return () if text.strip() == "none" else words_of(_option_name)(text)


class ModelSettings(Group):
    title: ClassVar[str] = "The model"

    openai_api_key: Annotated[SecretStr | None, parsed(secret_word)] = setting(
        "OPENAI_API_KEY",
        None,
        "The API key of the model's server. Without this and `OPENAI_BASE_URL` the demo model "
        "answers.",
    )
    openai_base_url: Annotated[str | None, parsed(http_url)] = setting(
        "OPENAI_BASE_URL",
        None,
        "The URL of any server that speaks OpenAI's protocol.",
        otherwise="OpenAI's",
    )
    openai_api: Literal["chat", "responses"] = setting(
        "LONGTASK_OPENAI_API",
        "chat",
        "How the model's server is asked: `chat` for chat completions, `responses` for background "
        "responses, which the server keeps and goes on with when a worker is lost "
        "([background.md](background.md)).",
    )
    delete_responses: bool = setting(
        "LONGTASK_OPENAI_DELETE_RESPONSES",
        False,
        "`true` deletes each background response at the model's server once its task has ended.",
    )
    models: Annotated[ModelMap | None, parsed(parse_model_map)] = setting(
        "LONGTASK_MODELS",
        None,
        "Several upstreams, and which of them has which models: a JSON object, or the path of a "
        "file that holds it ([upstreams.md](upstreams.md)). It takes the place of "
        "`OPENAI_BASE_URL`, `LONGTASK_OPENAI_API`, `LONGTASK_OPENAI_DELETE_RESPONSES` and "
        "`LONGTASK_PREFILL`.",
        secret=True,
    )
    default_model: str = setting(
        "LONGTASK_DEFAULT_MODEL",
        "gpt-4o-mini",
        "The model of a request that names none.",
        min_length=1,
        max_length=200,
    )
    default_max_tokens: int | None = setting(
        "LONGTASK_DEFAULT_MAX_TOKENS",
        None,
        "The longest answer of a request that names no `maxTokens`. Without it the model's server "
        "is sent no limit.",
        unit="tokens",
        ge=1,
        le=MAX_TOKENS_LIMIT,
    )
    default_temperature: float | None = setting(
        "LONGTASK_DEFAULT_TEMPERATURE",
        None,
        "The temperature of a request that names none. Without it the model's server is sent none.",
        ge=0,
        le=TEMPERATURE_LIMIT,
    )
    refused_options: Annotated[tuple[str, ...], parsed(option_names)] = setting(
        "LONGTASK_REFUSED_OPTIONS",
        REFUSED_OPTIONS,
        "Names of `options` that requests may not have, separated by commas, in place of the "
        "default: the model's server may obey them, and they choose another server, key, "
        "template or conversation. A name may end in `*`. `none` refuses no name, beside those "
        "that no request may have.",
    )
    allow_http_media: bool = setting(
        "LONGTASK_ALLOW_HTTP_MEDIA",
        False,
        "`true` allows images and files at `http://` URLs, in addition to `https://` and `data:`. "
        "The model's server fetches them.",
    )
    model_read_timeout: float = setting(
        "LONGTASK_MODEL_READ_TIMEOUT",
        600.0,
        "How long the model may send no piece of its answer (text, reasoning or tool call) before "
        "the attempt is lost.",
        unit="seconds",
        gt=0,
    )
    prefill: Literal[
        "off", "vllm", "sglang", "llama_cpp", "mistral", "deepseek", "kimi", "qwen"
    ] = setting(
        "LONGTASK_PREFILL",
        "off",
        "Let an attempt go on from the text of a lost one, where the model's server can go on from "
        "the beginning of an answer: `vllm`, `sglang`, `llama_cpp`, `mistral`, `deepseek`, `kimi` "
        "or `qwen` says which server it is. [prefill.md](prefill.md) has more.",
    )
    prefill_unasked: bool = setting(
        "LONGTASK_PREFILL_UNASKED",
        True,
        "`false` lets attempts go on so only if their request asks for it (`prefill`).",
    )
    demo_speed: float = setting(
        "LONGTASK_DEMO_SPEED",
        30.0,
        "How fast the demo model answers. 0 means without pauses.",
        unit="tokens per second",
        ge=0,
    )

    _alone: bool = PrivateAttr(default=True)

    def at(self, upstream: MappedUpstream) -> "ModelSettings":
        """The settings of one upstream of the map, as if it were the only one."""
        own = upstream.base_url is not None or upstream.demo
        unasked, timeout = upstream.prefill_unasked, upstream.read_timeout
        given = {
            "models": None,
            "openai_api_key": upstream.api_key or (None if own else self.openai_api_key),
            "openai_base_url": upstream.base_url,
            "openai_api": upstream.api,
            "delete_responses": upstream.delete_responses,
            "prefill": upstream.prefill or "off",
            "prefill_unasked": self.prefill_unasked if unasked is None else unasked,
            "model_read_timeout": self.model_read_timeout if timeout is None else timeout,
        }
        settings = self.model_copy(update=given)
        settings._alone = not own
        return settings

    @property
    def alone(self) -> bool:
        """Whether what the environment tells OpenAI's client is meant for this server."""
        return self._alone

    @property
    def demo(self) -> bool:
        """Whether the demo model answers, and no other."""
        server = self.openai_api_key is not None or self.openai_base_url is not None
        return not server and self.models is None

    @property
    def rules(self) -> ModelRules:
        return ANY_MODEL if self.models is None else self.models.rules()

    @property
    def keeps_answers(self) -> bool:
        """Whether a server is asked for answers that it keeps, which may run tools itself."""
        if self.models is not None:
            return any(each.keeps for each in self.models.upstreams)
        return self.openai_api == "responses" and not self.demo

    @property
    def continues_by_prefill(self) -> bool:
        """Whether a model goes on from what it has said, if a request allows it."""
        if self.models is not None:
            return any(each.continues_by_prefill for each in self.models.upstreams)
        return self.demo or self.prefill_server is not None

    @property
    def prefill_server(self) -> str | None:
        return None if self.prefill == "off" else self.prefill

    @property
    def name(self) -> str:
        if self.models is not None:
            return self.models.names
        return "demo" if self.demo else self.openai_base_url or "OpenAI"
