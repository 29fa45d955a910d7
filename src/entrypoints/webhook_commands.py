"""`longtask webhook secret`: the secrets by which receivers recognize webhooks."""

import click

from adapters.webhooks import new_secret
from entrypoints.api_keys import is_name
from entrypoints.settings import ENV_FILE, load_group
from entrypoints.settings.webhooks import WebhookSettings, entries_of


@click.group("webhook")
def webhook_group() -> None:
    """Make the secrets of webhooks."""


@webhook_group.command("secret")
@click.argument("name", required=False)
def secret_command(name: str | None) -> None:
    """Make a secret that signs the webhooks of NAME's tasks. NAME is that of an API key.

    Without NAME it is the service's own: for LONGTASK_WEBHOOK_URL, and for all tasks where there
    are no API keys. The secret goes to standard error, for the receiver. Standard output has the
    setting, with the secrets that are set already: add it to .env with >>. Of several secrets each
    signs, so a receiver can change to the new one before the old one is taken out."""
    if name is not None and not is_name(name):
        raise click.ClickException(
            "a name is 1 to 64 letters, digits, '.', '_' or '-', and begins with a letter or digit"
        )
    webhooks, faults = load_group(WebhookSettings, ENV_FILE, {})
    if faults:
        raise click.ClickException("\n".join(["correct these settings first:", *faults]))
    secret = new_secret()
    entry = secret if name is None else f"{name}:{secret}"
    whose = "of the service" if name is None else f"of {name}"
    click.echo(f"The webhook secret {whose}, for the receiver:", err=True)
    click.echo(secret, err=True)
    # The file that this is added to may not end with a line's end.
    click.echo(
        f"\nLONGTASK_WEBHOOK_SECRETS={','.join([*entries_of(webhooks.webhook_secrets), entry])}"
    )
