"""Webhooks, as openai-node and the npm package of Standard Webhooks verify them."""

import json

import pytest

from adapters.webhooks import new_secret
from tests.doubles.destination import Destination
from tests.official.node.clients import Node
from tests.running import running_service, settings_for
from tests.waiting import eventually

pytestmark = pytest.mark.soak


def test_both_verify_a_message_with_either_secret_and_no_other(node: Node) -> None:
    secrets = [new_secret(), new_secret()]
    settings = settings_for(webhook_secrets=",".join(secrets), private_webhooks=True)
    with Destination().running() as receiver, running_service(settings) as service:
        task_id = service.client.start("Ö", webhook={"url": receiver.url}, metadata={"of": "ü"})
        (told,) = eventually(lambda: receiver.delivered)
    body = told.body.decode()
    for secret in secrets:
        given = {"body": body, "headers": told.headers, "secret": secret}
        seen = node.result("webhooks", service.url, "verify", **given)
        assert seen["unwrapped"]["value"] == seen["verified"]["value"] == json.loads(body)
        assert seen["unwrapped"]["value"]["data"]["taskId"] == task_id
    given = {"body": body, "headers": told.headers, "secret": new_secret()}
    seen = node.result("webhooks", service.url, "verify", **given)
    assert seen["unwrapped"]["error"]["name"] == "InvalidWebhookSignatureError"
    assert seen["verified"]["error"]["name"] == "WebhookVerificationError"
