"""Signatures: what the SDK's Receiver accepts is accepted, and what it refuses is refused. It is
the judge; only a clock that is a few seconds off is not its business."""

import base64
import math
import time
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qstash import Receiver

from adapters.qstash import DeliveryVerifier, ForgedDelivery, QueueClock, SigningKeys
from tests.signing import CURRENT, NEXT, hash_of, sign

URL = "https://tasks.example/api/qstash/webhook"
BODY = b'{"a": "\xc3\xa9"}'


async def _no_keys() -> tuple[str, str]:
    return CURRENT, NEXT


def _receiver_accepts(signature: str, body: bytes) -> bool:
    try:
        Receiver(CURRENT, NEXT).verify(signature=signature, body=body.decode(), url=URL)
    except Exception:  # of any type: it does not translate all of its own
        return False
    return True


async def _we_accept(signature: str, body: bytes) -> bool:
    keys = SigningKeys(_no_keys, (CURRENT, NEXT))
    verifier = DeliveryVerifier(keys, QueueClock(), URL, "https://tasks.example/failure")
    try:
        (await verifier.signed_task(signature)).check(body)
    except ForgedDelivery:
        return False
    return True


async def _agreed(signature: str, body: bytes = BODY) -> bool:
    """The verdict of both."""
    theirs = _receiver_accepts(signature, body)
    assert await _we_accept(signature, body) is theirs, signature
    return theirs


@pytest.mark.parametrize("key", [CURRENT, NEXT])
@pytest.mark.parametrize("claims", [{}, {"body": hash_of(BODY).rstrip("=")}, {"iat": ...}])
async def test_what_qstash_signs_is_accepted(key: str, claims: dict[str, Any]) -> None:
    assert await _agreed(sign(URL, BODY, key, **claims))


@pytest.mark.parametrize("name", ["iss", "sub", "exp", "nbf", "body"])
@pytest.mark.parametrize("value", [..., None, "", 7, ["Upstash"], {}, math.inf, math.nan])
async def test_a_claim_that_is_missing_or_another_is_refused(name: str, value: Any) -> None:
    signature = sign(URL, BODY, CURRENT, **{name: value})
    if name == "nbf" and value == 7:
        assert await _agreed(signature)
    else:
        assert not await _agreed(signature)


async def test_other_algorithms_keys_forms_and_bodies_are_refused() -> None:
    now = int(time.time())
    claims = {"iss": "Upstash", "sub": URL, "nbf": now, "exp": now + 300, "body": hash_of(BODY)}
    good = sign(URL, BODY, CURRENT)
    head, payload, signature = good.split(".")
    deep = base64.urlsafe_b64encode(b"[" * 20_000).decode()
    for refused in (
        "",
        "a.b",
        "a.b.c",
        "é.é.é",
        f"{head}.{payload}.",
        f"{head}.{payload}.{signature[:-4]}AAAA",
        f"{deep}.{payload}.{signature}",
        jwt.encode(claims, "", algorithm="none"),
        jwt.encode(claims, CURRENT * 2, algorithm="HS512"),
        sign(URL, BODY, "sig_of_another_account_0123456789abcdef"),
        sign(URL + "/", BODY, CURRENT),
        sign(URL, BODY + b" ", CURRENT),
        sign(URL, BODY, CURRENT, aud="another"),
        sign(URL, BODY, CURRENT, body="é"),
    ):
        assert not await _agreed(refused)
    assert await _agreed(good)
    assert not await _agreed(good, BODY[:-1])


_TIMES = (-100_000, -1_000, -60, 60, 1_000, 100_000)
_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, "x", "", [], {}, 1e300, math.inf, math.nan, ...]
)
_TIME = st.one_of(
    st.sampled_from(_TIMES).map(lambda each: int(time.time()) + each),
    st.sampled_from(_TIMES).map(lambda each: time.time() + each),
    st.sampled_from(_TIMES).map(lambda each: str(int(time.time()) + each)),
    _ODD,
)
_TEXT = st.one_of(st.sampled_from(["Upstash", URL, hash_of(BODY), hash_of(b""), "jwt_1"]), _ODD)


@pytest.mark.soak
@settings(max_examples=500, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("nbf", "iat", "exp"), _TIME),
            **dict.fromkeys(("iss", "sub", "body", "jti", "aud"), _TEXT),
        },
    )
)
async def test_both_judge_any_claims_alike(claims: dict[str, Any]) -> None:
    await _agreed(sign(URL, BODY, CURRENT, **claims))
