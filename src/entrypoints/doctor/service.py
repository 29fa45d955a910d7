"""Who may use the service, and does its address lead to it?"""

import stat
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import msgspec

from adapters.qstash import QStashQueue, QueueClock, sign
from application.accounts import Limits
from application.errors import QueueRefused, QueueUnavailable
from entrypoints.choices import valid_keys
from entrypoints.doctor.findings import TIMEOUT, Finding, Findings, fail, ok, warn
from entrypoints.host_names import is_loopback
from entrypoints.http.access import Access
from entrypoints.http.checks import CHECK
from entrypoints.http.health import HealthBody
from entrypoints.keys_file import KeysFile
from entrypoints.settings import Settings

NO_TASK = b"{}"
"""The body of a delivery that starts nothing: a service that accepts its signature then refuses it
as malformed."""
CALLED = {"Upstash-Message-Id": CHECK}


async def check_access(settings: Settings) -> Findings:
    host, port = settings.service.host, settings.service.port
    if settings.access.requires_keys:
        if owners := sorted({key.name for key in settings.access.keys_at_start}):
            yield ok("access", f"API keys of {', '.join(owners)}")
        else:
            yield warn(
                "access",
                "no API key is valid: every call gets 401",
                "add one with `longtask key new NAME`",
            )
        if (file := settings.access.api_keys_file) is not None:
            for finding in _check_keys_file(file):
                yield finding
        if settings.access.limits == Limits():
            yield warn(
                "access",
                "an API key may start any number of tasks",
                "set LONGTASK_LIMITS, such as starts=60,running=20,streams=50,tokens=1000000",
            )
    elif is_loopback(host):
        yield ok("access", "no API keys, and only this machine can reach the service")
    else:
        yield warn(
            "access",
            f"anyone who can reach {host} port {port} may use the service",
            "make keys with `longtask key new NAME`, unless a proxy in front authenticates callers",
        )


def _check_keys_file(file: KeysFile) -> Iterator[Finding]:
    mode = file.mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield fail(
            "access",
            f"others can write {file.path}, and so make themselves a key (mode {mode & 0o777:04o})",
            "chmod go-w this file",
        )
    if file.plain_at is not None and mode & (stat.S_IRGRP | stat.S_IROTH):
        yield warn(
            "access",
            f"others can read the key itself in line {file.plain_at} of {file.path}",
            "replace it by its hash (`longtask key new NAME`), or chmod go-r this file",
        )


async def check_address(
    settings: Settings, queue: QStashQueue, clock: QueueClock, base_url: str, webhook_path: str
) -> Findings:
    """Call the service at the address at which QStash will call it, and as QStash will."""
    parts, queue_url = urlsplit(base_url), urlsplit(settings.queue.qstash_url)
    local_queue = settings.queue.embedded or is_loopback(queue_url.hostname)
    if not local_queue and is_loopback(parts.hostname):
        yield fail(
            "address",
            f"QStash cannot reach {base_url}",
            "set BASE_URL to an address on the internet; for development, to that of a tunnel",
        )
        return
    if not local_queue and parts.scheme != "https":
        yield warn(
            "address",
            f"{base_url} is not encrypted: others can read prompts in transit",
            "put a TLS proxy in front, and https:// into BASE_URL",
        )
    try:
        async with httpx.AsyncClient(base_url=base_url, timeout=TIMEOUT) as client:
            health = await client.get("/healthz")
            webhook = await client.post(webhook_path, content=NO_TASK, headers=CALLED)
            signed = await _signed(settings, queue, clock, base_url + webhook_path)
            if signed is not None:
                delivery = await client.post(webhook_path, content=NO_TASK, headers=signed)
            stream = await client.get(_stream_url(settings))
            anonymous = await client.get(_stream_url(settings, link=False))
            ready = await client.get("/readyz")
    except httpx.HTTPError as error:
        yield fail(
            "address",
            f"{base_url} does not respond ({type(error).__name__})",
            "is the service running, and does the name resolve to it?",
        )
        return
    if health.status_code != 200 or "bad-signature" not in webhook.text:
        what = (
            f"{base_url}{webhook_path} responds with {webhook.status_code}, but not as this "
            "service does"
        )
        if settings.service.base_url is None:
            what += ": another program uses the port"
            advice = "stop that program, or set LONGTASK_PORT to another port"
        else:
            advice = (
                "is BASE_URL right? A proxy in front must pass /api/qstash/ on unchanged, without "
                "a login of its own"
            )
        yield fail("address", what, advice)
        return
    required, keys = settings.access.requires_keys, settings.access.keys_at_start
    elsewhere = "restart it with these settings, or correct LONGTASK_PORT or BASE_URL"
    if stream.status_code == 401 and (keys or not required):  # without a key there is no link
        yield fail(
            "address",
            f"{base_url} leads to another Longtask, or to one with other settings: it has other "
            "API keys or another LONGTASK_STREAM_SECRET",
            elsewhere,
        )
    elif required and anonymous.status_code == 404:
        yield fail(
            "address",
            f"{base_url} leads to another Longtask, or to one with other settings: it requires no "
            "API key",
            elsewhere,
        )
    elif signed is None:
        has = "has these API keys" if required else "requires no API key"
        yield ok("address", f"{base_url} leads to a Longtask that {has}")
        for finding in _readiness(base_url, ready):
            yield finding
    elif delivery.status_code == 401:
        yield fail(
            "address",
            f"{base_url} leads to another Longtask, or to one with other settings: it refuses what "
            f"QStash signs for {base_url}{webhook_path}",
            "restart it with these settings; its log line `delivery refused` says which of "
            "signature, url, body, expiry and clock is wrong",
        )
    elif "malformed-delivery" not in delivery.text:
        yield warn(
            "address",
            f"{base_url} does not take deliveries now ({delivery.status_code})",
            "see the log of the service",
        )
    else:
        yield ok("address", f"{base_url} leads to this service, which accepts what QStash signs")
        for finding in _readiness(base_url, ready):
            yield finding


def _readiness(base_url: str, ready: httpx.Response) -> Iterator[Finding]:
    """What is wrong with the own service as it says itself."""
    if ready.status_code == 200:
        return
    try:
        checks = msgspec.json.decode(ready.content, type=HealthBody).checks
    except msgspec.DecodeError:
        yield warn(
            "address",
            f"{base_url}/readyz does not respond as this service does ({ready.status_code})",
            "a proxy in front should pass it on",
        )
        return
    wrong = "; ".join(f"{part}: {said}" for part, said in checks.items() if said != "ok")
    yield fail(
        "address",
        f"{base_url} is not ready ({wrong})",
        "its log lines `not ready` say more. If its data folder was moved, restart it",
    )


def _stream_url(settings: Settings, *, link: bool = True) -> str:
    """A stream that there is not. A service that has these API keys and this secret says so with
    404, and without the `link` with 401."""
    keys, secret = settings.access.keys_at_start, settings.access.stream_secret
    access = Access(valid_keys(settings), secret.get_secret_value() if secret else "", TIMEOUT)
    return access.stream_url("task_0_doctor", keys[0].name if keys and link else None)


async def _signed(
    settings: Settings, queue: QStashQueue, clock: QueueClock, url: str
) -> dict[str, str] | None:
    """The headers of a delivery of NO_TASK, as QStash signs it. None if its keys are not known:
    those of a local QStash are random, and its service alone knows them."""
    if settings.queue.embedded:
        return None
    try:
        key, _ = await queue.signing_keys()
    except (QueueRefused, QueueUnavailable):  # told by check_queue
        return None
    signature = sign(key, url, NO_TASK, int(clock.now()))
    return {"Upstash-Signature": signature, **CALLED}
