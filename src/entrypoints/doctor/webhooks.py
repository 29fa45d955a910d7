"""Can webhooks be signed, is the service's own receiver one that may be called, and do receivers
take them?"""

import asyncio
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families

from adapters.webhooks import LookUp, is_global, look_up, look_up_in_thread
from entrypoints.doctor.findings import TIMEOUT, Findings, fail, ok, warn
from entrypoints.settings import Settings

PRIVATE = "LONGTASK_WEBHOOK_ALLOW_PRIVATE"


async def check_webhooks(settings: Settings, look_up: LookUp = look_up) -> Findings:
    """Nothing is sent. `look_up`: which addresses a name has."""
    webhooks, secrets = settings.webhooks, settings.webhooks.webhook_secrets
    if not secrets:
        return
    names = {name for name in secrets if name is not None}
    known = {key.name for key in settings.access.keys_at_start}
    if unknown := names - known:
        yield warn(
            "webhooks",
            f"LONGTASK_WEBHOOK_SECRETS has secrets of {', '.join(sorted(unknown))}, without an API "
            "key of that name",
            "is the name misspelt? Tasks of other names cannot ask for a webhook",
        )
    signed = [
        *sorted(names & known),
        *(["the service"] if None in secrets else []),
    ]
    if signed:
        yield ok("webhooks", f"secrets of {', '.join(signed)}")
    if webhooks.private_webhooks and not settings.development:
        yield warn(
            "webhooks",
            "each caller that may start a task can have any service called that this host reaches",
            f"unset {PRIVATE}, unless every caller may do that",
        )
    if webhooks.webhook_url is not None:
        async for finding in _check_target(
            webhooks.webhook_url, webhooks.private_webhooks, look_up
        ):
            yield finding


async def _check_target(url: str, private_allowed: bool, look_up: LookUp) -> Findings:
    host = urlsplit(url).hostname or ""
    try:
        async with asyncio.timeout(TIMEOUT):
            addresses = await _addresses(host, look_up)
    except (OSError, TimeoutError):
        yield fail(
            "webhooks",
            f"the name {host} does not resolve",
            "correct LONGTASK_WEBHOOK_URL, or the DNS of this machine",
        )
        return
    others = [each for each in addresses if not is_global(each)]
    if others and not private_allowed:
        yield fail(
            "webhooks",
            f"{host} is at {', '.join(others)}, which is not on the internet: it is not called",
            f"correct LONGTASK_WEBHOOK_URL, or set {PRIVATE}=true if every caller may have the "
            "services of your network called",
        )
    else:
        yield ok("webhooks", f"{host} resolves, and may be called")


async def check_receivers(settings: Settings, base_url: str) -> Findings:
    """Say what came of the calls of receivers, as the running service has counted them. Without a
    service at this address it says nothing: check_address does."""
    if not settings.webhooks.webhook_secrets:
        return
    try:
        async with httpx.AsyncClient(base_url=base_url, timeout=TIMEOUT) as client:
            counts = _counts((await client.get("/metrics")).text)
    except (httpx.HTTPError, ValueError):
        return
    given_up = counts.pop("given up", 0)
    if not (told := ", ".join(f"{count} {what}" for what, count in counts.items() if count)):
        return
    calls = f"calls of receivers since the service began: {told}"
    if given_up:
        yield warn(
            "webhooks",
            f"{given_up} given up after 72 hours; {calls}",
            "the log lines `webhook failed` and `webhook given up` name the tasks",
        )
    elif not counts.get("delivered"):
        yield warn("webhooks", calls, "the log lines `webhook failed` and `webhook sent` say why")
    else:
        yield ok("webhooks", calls)


def _counts(metrics: str) -> dict[str, int]:
    """Return the calls by outcome, and those `given up`. Raises ValueError for what are no
    metrics."""
    counts: dict[str, int] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == "longtask_webhooks_total":
                outcome = sample.labels["outcome"].replace("_", " ")
                counts[outcome] = int(sample.value)
            elif sample.name == "longtask_webhooks_given_up_total":
                counts["given up"] = int(sample.value)
    return counts


async def _addresses(host: str, look_up: LookUp) -> list[str]:
    try:
        return [str(ip_address(host))]
    except ValueError:
        return await look_up_in_thread(look_up, host)
