"""The signing keys, and their rotation."""

import pytest
from qstash import Receiver
from qstash.errors import SignatureError

from adapters.qstash import DEVELOPMENT
from tests.doubles.destination import Delivered, Destination
from tests.integration.sdk import Sdk, one


def test_rotated_keys_sign_what_is_delivered_from_then_on(
    sdk: Sdk, destination: Destination
) -> None:
    before = sdk("signing_key.get")
    assert (before.current, before.next) == (DEVELOPMENT.current_key, DEVELOPMENT.next_key)
    rotated = sdk("signing_key.rotate")
    assert rotated.current == before.next
    assert rotated.next not in (before.current, before.next)
    assert sdk("signing_key.get") == rotated

    sdk("message.publish", url=f"{destination.url}/rotated", body="x")
    delivered = one(destination, "/rotated")
    _verify(delivered, rotated.current, rotated.next)
    _verify(delivered, before.current, before.next)  # so a receiver need not change at once
    twice = sdk("signing_key.rotate")
    sdk("message.publish", url=f"{destination.url}/twice", body="x")
    delivered = one(destination, "/twice")
    _verify(delivered, twice.current, twice.next)
    with pytest.raises(SignatureError):
        _verify(delivered, before.current, before.next)


def _verify(delivered: Delivered, current: str, following: str) -> None:
    signature = delivered.headers["upstash-signature"]
    Receiver(current, following).verify(signature=signature, body=delivered.body.decode())
