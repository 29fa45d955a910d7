"""GET /v1/models, through the official client."""

import json

import openai
import pytest

from tests.doubles.upstream import Script, Upstream, refusal
from tests.end_to_end.chat_client import client_of
from tests.end_to_end.guarded import ALICE, alices
from tests.running import Running

MODELS = {"data": [{"id": "org/a", "object": "model", "created": 5, "owned_by": "x"}]}


def test_the_models_of_the_server_and_the_default_one(service: Running, upstream: Upstream) -> None:
    upstream.then(Script([json.dumps(MODELS).encode()]))
    client = client_of(service)
    default, other = client.models.list().data
    assert default.id == "gpt-4o-mini"
    assert client.models.retrieve("org/a") == other
    assert (other.created, other.owned_by, other.object) == (5, "x", "model")
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("b")
    assert raised.value.code == "model_not_found"
    assert len(upstream.received) == 1
    assert service.client.http.head("/v1/models").status_code == 200


def test_a_server_that_lists_none_leaves_the_default_model(
    service: Running, upstream: Upstream
) -> None:
    upstream.then(refusal(404))
    [default] = client_of(service).models.list().data
    assert default.id == "gpt-4o-mini"


def test_the_demo_model_is_listed(shared_service: Running) -> None:
    names = [each.id for each in client_of(shared_service).models.list().data]
    assert names == ["gpt-4o-mini", "longtask-demo"]


def test_the_models_need_a_key_where_keys_are_needed(upstream: Upstream) -> None:
    with alices(upstream) as running:
        with pytest.raises(openai.AuthenticationError):
            client_of(running).models.list()
        assert client_of(running).with_options(api_key=ALICE).models.list().data
