"""Webhooks: whom the service tells that a task has ended, and how a receiver knows that it did."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from adapters.webhooks import MalformedSecret, parse_secret, secret_text
from application.ports import WebhookSecret
from domain.webhook_url import url_fault
from entrypoints.api_keys import is_name
from entrypoints.settings.group import Group, parsed, setting, words

Secrets = Mapping[str | None, tuple[WebhookSecret, ...]]
"""By the name of the API key whose tasks' webhooks they sign. None has those of the service itself,
and of all tasks where there are no API keys."""


def parse_secrets(text: str) -> Secrets:
    """Read entries `name:whsec_<base64>` or `whsec_<base64>`, separated by commas or white space.
    Raises ValueError with every fault, a line each, without repeating any of a secret."""
    found: dict[str | None, tuple[WebhookSecret, ...]] = {}
    faults: list[str] = []
    for number, entry in enumerate(words(text), 1):
        name, _, secret = entry.rpartition(":")
        if name and not is_name(name):
            faults.append(f"entry {number} does not begin with the name of an API key")
            continue
        try:
            found[name or None] = (*found.get(name or None, ()), parse_secret(secret))
        except MalformedSecret as error:
            faults.append(
                f"entry {number}: the secret {error}; `longtask webhook secret` makes one"
            )
    if faults:
        raise ValueError("\n".join(faults))
    return found


def entries_of(secrets: Secrets) -> list[str]:
    """The entries that `parse_secrets` reads as these."""
    return [
        secret_text(secret) if name is None else f"{name}:{secret_text(secret)}"
        for name, all_of_it in secrets.items()
        for secret in all_of_it
    ]


def _target(text: str) -> str:
    text = text.strip()
    if (fault := url_fault(text, http_allowed=True)) is not None:
        raise ValueError(fault)
    return text


class WebhookSettings(Group):
    title: ClassVar[str] = "Webhooks"

    webhook_secrets: Annotated[Secrets, parsed(parse_secrets)] = setting(
        "LONGTASK_WEBHOOK_SECRETS",
        {},
        "The secrets that sign webhooks ([webhooks.md](webhooks.md)), as `name:whsec_<base64>`, "
        "separated by commas. `name` is that of an API key; without API keys, and for "
        "`LONGTASK_WEBHOOK_URL`, an entry is `whsec_<base64>` alone. Several entries of one name "
        "all sign, so that a receiver can change from one to the other. `longtask webhook secret "
        "NAME` makes one. A start that asks for a webhook is refused if there is none for its "
        "caller.",
        secret=True,
    )
    webhook_url: Annotated[str | None, parsed(_target)] = setting(
        "LONGTASK_WEBHOOK_URL",
        None,
        "The service's own receiver, which is told of the end of every task, besides the one that "
        "a task names. Needs a secret without a name.",
    )
    private_webhooks: bool = setting(
        "LONGTASK_WEBHOOK_ALLOW_PRIVATE",
        False,
        "`true` allows webhooks to http URLs and to addresses that are not on the internet, such "
        "as those of this machine and this network. For development: anyone who may start a task "
        "can then have any service called that this one reaches.",
    )
