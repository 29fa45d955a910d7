"""The model: any server that speaks OpenAI's protocol, or the demo."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import SecretStr

from domain.options import REFUSED_OPTIONS
from domain.request import MAX_TOKENS_LIMIT, TEMPERATURE_LIMIT
from entrypoints.settings.group import Group, http_url, parsed, secret_word, setting, words_of

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

    @property
    def demo(self) -> bool:
        """Whether the demo model answers."""
        return self.openai_api_key is None and self.openai_base_url is None

    @property
    def continues_by_prefill(self) -> bool:
        """Whether the model goes on from what it has said, if a request allows it."""
        return self.demo or self.prefill_server is not None

    @property
    def prefill_server(self) -> str | None:
        return None if self.prefill == "off" else self.prefill

    @property
    def name(self) -> str:
        return "demo" if self.demo else self.openai_base_url or "OpenAI"
