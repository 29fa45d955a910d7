"""What must hold between settings. Each check yields its faults as sentences, without secrets.

A check may read a setting that is itself malformed. That one counts as set. A check that needs its
value ends with UnknownValue (malformed.py), and the caller skips the rest of it.
"""

from collections.abc import Callable, Iterator
from importlib.util import find_spec

from application.accounts import Limits
from domain.webhook_url import url_fault
from entrypoints.host_names import is_loopback
from entrypoints.settings.malformed import UnknownValue
from entrypoints.settings.model_map import deepseek_fault
from entrypoints.settings.owner_names import OWNER_CHECKS
from entrypoints.settings.queue import UPSTASH_URL
from entrypoints.settings.settings import Settings


def _queue(settings: Settings) -> Iterator[str]:
    queue = settings.queue
    keys = {
        "QSTASH_CURRENT_SIGNING_KEY": queue.qstash_current_signing_key,
        "QSTASH_NEXT_SIGNING_KEY": queue.qstash_next_signing_key,
    }
    set_keys = [name for name, value in keys.items() if value is not None]
    if queue.embedded:
        for name in set_keys:
            yield f"{name} is set but QSTASH_TOKEN is not"
    elif len(set_keys) == 1:
        yield f"{' and '.join(keys)} go together: only {set_keys[0]} is set"


def _queue_url(settings: Settings) -> Iterator[str]:
    if settings.queue.embedded and settings.queue.qstash_url != UPSTASH_URL:
        yield "QSTASH_URL is set but QSTASH_TOKEN is not"


def _base_url(settings: Settings) -> Iterator[str]:
    if not settings.queue.embedded and settings.service.base_url is None:
        yield "BASE_URL is required with QSTASH_TOKEN"


def _store(settings: Settings) -> Iterator[str]:
    store = settings.store
    url, token = store.upstash_redis_rest_url, store.upstash_redis_rest_token
    if store.redis_url is not None:
        if url is not None or token is not None:
            yield "REDIS_URL and UPSTASH_REDIS_REST_* exclude each other: choose one"
    elif (url is None) != (token is None):
        yield "UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN go together"


def _workers(settings: Settings) -> Iterator[str]:
    if settings.service.workers > 1 and not settings.store.shared:
        yield (
            f"LONGTASK_WORKERS is {settings.service.workers}, but without REDIS_URL one process "
            "holds all tasks: set REDIS_URL, or LONGTASK_WORKERS to 1"
        )


def _older_messages(settings: Settings) -> Iterator[str]:
    owner, file = settings.queue.older_messages_owner, settings.access.api_keys_file
    if file is not None and file.fault is not None:
        raise UnknownValue
    if owner is not None and owner not in {key.name for key in settings.access.keys_at_start}:
        # Not repeated: it could be a key that was taken for its name.
        yield (
            "LONGTASK_OLDER_MESSAGES_OWNER is not a name of LONGTASK_API_KEYS or "
            "LONGTASK_API_KEYS_FILE"
        )


def _keys_file(settings: Settings) -> Iterator[str]:
    file = settings.access.api_keys_file
    if file is not None and (fault := file.wrong(plain_allowed=settings.development)) is not None:
        yield f"LONGTASK_API_KEYS_FILE: {fault}"


def _plain_keys(settings: Settings) -> Iterator[str]:
    if any(key.plain for key in settings.access.api_keys) and not settings.development:
        yield (
            "LONGTASK_API_KEYS holds a key itself, not its hash: make one with "
            "`longtask key new NAME` and set the entry that it prints"
        )


def _stream_secret(settings: Settings) -> Iterator[str]:
    if settings.access.requires_keys and settings.access.stream_secret is None:
        yield (
            "LONGTASK_STREAM_SECRET is required with API keys; "
            "`longtask key new NAME` makes one too"
        )


def _anonymous(settings: Settings) -> Iterator[str]:
    access, host = settings.access, settings.service.host
    if not access.requires_keys and not access.allow_anonymous and not is_loopback(host):
        yield (
            f"LONGTASK_HOST is {host}, which others can reach, but LONGTASK_API_KEYS is not set: "
            "make a key with `longtask key new NAME`, or set LONGTASK_ALLOW_ANONYMOUS=true"
        )


def _development_keys(settings: Settings) -> Iterator[str]:
    public = settings.queue.public_credentials()
    if public and settings.refuses_development_keys:
        yield (
            f"{', '.join(public)}: these belong to QStash's development server and are public. "
            "With them, any client could run any task. Copy your own from QStash's console, or "
            "set none of the three to run a queue inside the service, or set "
            "LONGTASK_ALLOW_DEVELOPMENT_KEYS=true for a development stack"
        )


def _webhook_secrets(settings: Settings) -> Iterator[str]:
    secrets = settings.webhooks.webhook_secrets
    if settings.webhooks.webhook_url is not None and None not in secrets:
        yield (
            "LONGTASK_WEBHOOK_URL needs a secret of the service in LONGTASK_WEBHOOK_SECRETS, an "
            "entry without a name: make one with `longtask webhook secret`"
        )
    if not settings.access.requires_keys and any(name is not None for name in secrets):
        yield (
            "LONGTASK_WEBHOOK_SECRETS names an API key, but there are none: leave the name out, or "
            "set LONGTASK_API_KEYS"
        )


def _limits(settings: Settings) -> Iterator[str]:
    if settings.access.limits != Limits() and not settings.access.requires_keys:
        yield (
            "LONGTASK_LIMITS limits API keys, but there are none: set LONGTASK_API_KEYS, or limit "
            "addresses with LONGTASK_ADDRESS_LIMITS"
        )


def _webhook_url(settings: Settings) -> Iterator[str]:
    url, private_allowed = settings.webhooks.webhook_url, settings.webhooks.private_webhooks
    if url is not None and url_fault(str(url), http_allowed=private_allowed) is not None:
        yield (
            "LONGTASK_WEBHOOK_URL must be an https:// URL, unless "
            "LONGTASK_WEBHOOK_ALLOW_PRIVATE=true"
        )


def _prefill(settings: Settings) -> Iterator[str]:
    kind, url = settings.model.prefill, settings.model.openai_base_url
    if kind == "off":
        return
    if settings.model.openai_api == "responses":
        yield (
            f"LONGTASK_PREFILL is {kind} but LONGTASK_OPENAI_API is responses: background "
            "responses go on without it"
        )
    elif url is None:
        yield f"LONGTASK_PREFILL is {kind} but OPENAI_BASE_URL is not set: OpenAI has no prefill"
    elif kind == "deepseek" and (fault := deepseek_fault(str(url))) is not None:
        yield f"OPENAI_BASE_URL: {fault}"


def _models(settings: Settings) -> Iterator[str]:
    model = settings.model
    if (found := model.models) is None:
        return
    unused = {
        "OPENAI_BASE_URL": model.openai_base_url is not None,
        "LONGTASK_OPENAI_API": model.openai_api != "chat",
        "LONGTASK_OPENAI_DELETE_RESPONSES": model.delete_responses,
        "LONGTASK_PREFILL": model.prefill != "off",
    }
    for name in (name for name, given in unused.items() if given):
        yield f"{name} and LONGTASK_MODELS exclude each other: say it there, of an upstream"
    for index, each in enumerate(found.upstreams):
        keyed = each.api_key or each.api_key_env or each.base_url or model.openai_api_key
        if not keyed and not each.demo:
            yield (
                f"LONGTASK_MODELS: upstreams[{index}]: {each.name} is OpenAI, since it has no "
                "baseUrl, and needs apiKey, apiKeyEnv or OPENAI_API_KEY"
            )
    if found.upstream_of(model.default_model) is None:
        yield (
            f"LONGTASK_DEFAULT_MODEL is {model.default_model}, which no upstream of "
            "LONGTASK_MODELS has"
        )


def _traces(settings: Settings) -> Iterator[str]:
    if settings.observability.otlp_endpoint is not None and find_spec("opentelemetry") is None:
        yield (
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the packages for traces are not "
            "installed: pip install 'longtask[traces]'"
        )


CHECKS: tuple[Callable[[Settings], Iterator[str]], ...] = (
    _queue,
    _queue_url,
    _base_url,
    _store,
    _workers,
    _older_messages,
    _keys_file,
    _plain_keys,
    _stream_secret,
    _anonymous,
    _development_keys,
    _webhook_secrets,
    _webhook_url,
    _limits,
    _prefill,
    _models,
    _traces,
    *OWNER_CHECKS,
)
