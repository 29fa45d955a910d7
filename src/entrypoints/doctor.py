"""`longtask doctor`: the settings, held against the parts that they name.

Every check asks the real part and says what to do about what it finds. Nothing is started, changed
or paid for, and no secret is shown.
"""

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from statistics import median
from typing import Literal, cast
from urllib.parse import urlsplit

import httpx

from adapters.qstash import OFF, QStashQueue, is_development_key
from adapters.redis import Connection
from application.admission import Limits
from application.errors import QueueRefused, QueueUnavailable, StoreUnavailable
from entrypoints.container import WEBHOOK_PATH, Container, close_connections
from entrypoints.host_names import is_loopback
from entrypoints.settings import Settings

OLDEST_REDIS = (7, 0)
SLOW = 0.02
"""Seconds for an answer of Redis above which streams are felt to lag."""
TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    level: Literal["ok", "warn", "fail"]
    part: str
    what: str
    advice: str = ""


async def examine(settings: Settings) -> list[Finding]:
    """Faults of the parts are findings, never raised."""
    base_url = (
        settings.service.base_url or f"http://{settings.service.host}:{settings.service.port}"
    )
    container = Container(
        settings=settings,
        base_url=base_url,
        qstash_url=settings.queue.qstash_url,
        queue_credentials=settings.queue.credentials(),
    )
    parts = (
        _access(settings),
        _store(container),
        _queue(settings, container),
        _base_url(settings, base_url),
        _model(settings),
    )
    try:
        return [finding for part in parts async for finding in part]
    finally:
        await close_connections(container)


async def _access(settings: Settings) -> AsyncGenerator[Finding, None]:
    part = "access"
    if settings.access.api_keys:
        owners = sorted({key.name for key in settings.access.api_keys})
        yield Finding("ok", part, f"API keys of {', '.join(owners)}")
        if settings.access.limits == Limits():
            yield Finding(
                "warn",
                part,
                "a key may start as many tasks as it likes",
                "set LONGTASK_LIMITS, such as starts=60,running=20,streams=50,tokens=1000000",
            )
    elif is_loopback(settings.service.host):
        yield Finding("ok", part, "no API keys, and reachable from this machine only")
    else:
        yield Finding(
            "warn",
            part,
            f"every caller that reaches {settings.service.host} may use the service",
            "make keys with `longtask key new NAME`, unless something in front asks for one",
        )


async def _store(container: Container) -> AsyncGenerator[Finding, None]:
    redis = container.redis()
    if redis is None:
        yield Finding(
            "warn",
            "store",
            "tasks live in the memory of one process and end with it",
            "set REDIS_URL for anything but trying it out",
        )
        return
    try:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            await container.tasks().check()
            times.append(time.perf_counter() - began)
    except StoreUnavailable as error:
        yield Finding("fail", "store", str(error), "see docs/redis.md; is REDIS_URL right?")
        return
    latency = median(times)
    said = f"answers a write in {latency * 1000:.1f} ms"
    if latency > SLOW:
        yield Finding("warn", "store", said, "run the service in the same region as its Redis")
    else:
        yield Finding("ok", "store", said)
    async for finding in _redis_settings(redis):
        yield finding


async def _redis_settings(redis: Connection) -> AsyncGenerator[Finding, None]:
    part = "store"
    try:
        info = await _info(redis)
    except StoreUnavailable as error:
        yield Finding(
            "warn",
            part,
            f"its settings cannot be read ({error.reason})",
            "look yourself: version 7.0 or newer, maxmemory-policy noeviction, appendonly yes",
        )
        return
    version = info.get("redis_version", "")
    if version:
        numbers = tuple(int(each) for each in version.split(".")[:2])
        if numbers < OLDEST_REDIS:
            yield Finding(
                "fail", part, f"Redis {version}", "7.0 is the oldest that has what is needed"
            )
        else:
            yield Finding("ok", part, f"Redis {version}")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield Finding(
            "fail",
            part,
            f"maxmemory-policy is {policy}: Redis may drop tasks that still run",
            "CONFIG SET maxmemory-policy noeviction, and in its configuration",
        )
    else:
        yield Finding("ok", part, "maxmemory-policy is noeviction")
    if info.get("aof_enabled") == "1":
        yield Finding("ok", part, "it writes every change to disk (appendonly)")
    elif "aof_enabled" in info:
        yield Finding(
            "warn",
            part,
            "a restart of Redis loses what came since its last snapshot",
            "CONFIG SET appendonly yes, and in its configuration (docs/reliability.md)",
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        yield Finding("fail", part, "its last write to disk failed", "look at its disk and its log")


async def _info(redis: Connection) -> dict[str, str]:
    answer = await redis.call("INFO")
    if isinstance(answer, dict):  # redis-py has read it already
        return {_text(name): _text(value) for name, value in answer.items()}
    pairs = (line.partition(":") for line in _text(answer).splitlines())
    return {name: value for name, colon, value in pairs if colon}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


async def _queue(settings: Settings, container: Container) -> AsyncGenerator[Finding, None]:
    part = "queue"
    if settings.queue.embedded:
        yield Finding(
            "warn",
            part,
            "a local QStash in the service's own memory",
            "set QSTASH_TOKEN and its keys for anything but trying it out",
        )
        return
    if public := settings.queue.public_credentials():
        yield _public_keys(settings, ", ".join(public))
    queue = cast(QStashQueue, container.queue())  # or what traces it
    try:
        keys = await queue.signing_keys()
    except QueueRefused as error:
        yield Finding("fail", part, f"QStash refuses the token: {error}", "is QSTASH_TOKEN right?")
        return
    except QueueUnavailable as error:
        yield Finding(
            "fail",
            part,
            f"{settings.queue.qstash_url}: {error}",
            "is QSTASH_URL that of your region?",
        )
        return
    yield Finding("ok", part, f"{settings.queue.qstash_url} accepts the token")
    if not public and any(is_development_key(each) for each in keys):
        yield _public_keys(settings, "the keys that this QStash signs with")
    off = container.queue_clock().offset() or 0.0
    if abs(off) > OFF:
        yield Finding(
            "warn",
            part,
            f"this machine's clock is {abs(off):.0f} s {'slow' if off > 0 else 'fast'}",
            "set it, and keep it set (chrony, systemd-timesyncd); until then QStash's is used",
        )
    ours = [settings.queue.qstash_current_signing_key, settings.queue.qstash_next_signing_key]
    if ours == [None, None]:
        yield Finding("ok", part, "it tells its signing keys")
        return
    set_keys = [each.get_secret_value() if each else "" for each in ours]
    if keys[0] not in set_keys:
        yield Finding(
            "fail",
            part,
            "no delivery will be taken: QStash signs with a key that is not set here",
            "copy both signing keys from QStash's console",
        )
    elif list(keys) != set_keys:
        yield Finding(
            "warn",
            part,
            "the signing keys were rotated: the next rotation would shut deliveries out",
            "copy both signing keys from QStash's console",
        )
    else:
        yield Finding("ok", part, "both signing keys are QStash's")


def _public_keys(settings: Settings, what: str) -> Finding:
    said = f"{what}: those of QStash's development server, with which others can run any task"
    advice = "for development only; QStash's console has your own"
    refused = settings.refuses_development_keys
    return Finding("fail" if refused else "warn", "queue", said, advice)


async def _base_url(settings: Settings, base_url: str) -> AsyncGenerator[Finding, None]:
    part, parts = "address", urlsplit(base_url)
    local_queue = settings.queue.embedded or is_loopback(
        urlsplit(settings.queue.qstash_url).hostname
    )
    if not local_queue and is_loopback(parts.hostname):
        yield Finding(
            "fail",
            part,
            f"QStash cannot reach {base_url}",
            "BASE_URL must be an address on the internet; for development, a tunnel",
        )
        return
    if not local_queue and parts.scheme != "https":
        yield Finding(
            "warn", part, f"{base_url} is not encrypted: prompts can be read on their way",
            "put TLS in front, and https:// into BASE_URL",
        )  # fmt: skip
    try:
        async with httpx.AsyncClient(base_url=base_url, timeout=TIMEOUT) as client:
            health = await client.get("/healthz")
            webhook = await client.post(WEBHOOK_PATH, content=b"{}")
    except httpx.HTTPError as error:
        yield Finding(
            "fail",
            part,
            f"{base_url} does not answer ({type(error).__name__})",
            "is the service running, and does the name lead to it?",
        )
        return
    if health.status_code != 200 or "bad-signature" not in webhook.text:
        yield Finding(
            "fail",
            part,
            f"{base_url}{WEBHOOK_PATH} answers {webhook.status_code}, but not as this service does",
            "what stands in front must pass /api/qstash/ on untouched, with no login of its own",
        )
        return
    yield Finding("ok", part, f"{base_url} leads to this service, and it wants signatures")


async def _model(settings: Settings) -> AsyncGenerator[Finding, None]:
    part = "model"
    if settings.model.demo:
        yield Finding(
            "warn", part, "the demo model answers, with a sample text", "set OPENAI_API_KEY"
        )
        return
    import openai  # noqa: PLC0415  (slow to load, and only needed here)

    key = settings.model.openai_api_key
    async with openai.AsyncOpenAI(
        api_key=key.get_secret_value() if key else "none",
        base_url=settings.model.openai_base_url,
        timeout=TIMEOUT,
        max_retries=0,
    ) as client:
        where = str(client.base_url)
        try:
            found = [model.id async for model in client.models.list()]
        except openai.AuthenticationError:
            yield Finding("fail", part, f"{where} refuses the key", "is OPENAI_API_KEY right?")
            return
        except openai.APIStatusError as error:
            yield Finding(
                "warn",
                part,
                f"{where} answers, but its models cannot be listed ({error.status_code})",
                "start a task to see whether it works",
            )
            return
        except openai.APIConnectionError:
            yield Finding("fail", part, f"{where} cannot be reached", "is OPENAI_BASE_URL right?")
            return
    if settings.model.default_model in found:
        yield Finding("ok", part, f"{where} has {settings.model.default_model}")
    else:
        yield Finding(
            "warn",
            part,
            f"{where} does not list {settings.model.default_model}",
            "set LONGTASK_DEFAULT_MODEL to one that it has",
        )
