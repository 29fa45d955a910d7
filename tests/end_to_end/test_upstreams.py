"""Several upstreams behind one service: real servers, asked by the name of the model."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import openai
import pytest

from tests.doubles.responses_upstream import ResponsesUpstream, answer_events
from tests.doubles.upstream import Gate, Script, Upstream, answer, piece, refusal
from tests.end_to_end.chat_client import client_of
from tests.end_to_end.guarded import ALICE, ALICES_ENTRY, BOB, BOBS_ENTRY, SECRET, as_bearer
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within

ABSENT = "http://127.0.0.1:9/v1"
"""Where no server is."""


@dataclass
class Several:
    """`cloud` has gpt-*, and `local` llama*; while cloud is down, local is asked as llama3."""

    service: Running
    cloud: Upstream
    local: Upstream

    def run(self, **fields: Any) -> dict[str, Any]:
        """The record of a task once it has ended."""
        client = self.service.client
        task_id = client.start(**fields)
        return eventually(lambda: _ended(client.record(task_id)))


def _ended(record: dict[str, Any]) -> dict[str, Any] | None:
    return record if record["status"] in ("completed", "failed") else None


def _map(cloud: str, local: str, owners: Any = None, **of_cloud: Any) -> str:
    upstreams = [
        {
            "name": "cloud",
            "models": ["gpt-*", "o1"],
            "baseUrl": cloud,
            "apiKey": "sk-planted-secret",
            "fallback": ["local"],
            **of_cloud,
        },
        {"name": "local", "models": ["llama*"], "baseUrl": local, "names": {"gpt-*": "llama3"}},
        {"name": "demo", "models": ["longtask-demo"], "demo": True},
    ]
    return json.dumps({"upstreams": upstreams, **({"owners": owners} if owners else {})})


@contextmanager
def _several(
    local: Upstream, cloud: Upstream, url: str = "", owners: Any = None, **of_cloud: Any
) -> Iterator[Several]:
    keys = {"api_keys": f"{ALICES_ENTRY},{BOBS_ENTRY}", "stream_secret": SECRET} if owners else {}
    settings = settings_for(
        models=_map(url or cloud.url, local.url, owners, **of_cloud),
        qstash_retry_delay="20",
        **keys,
    )
    with running_service(settings) as running:
        yield Several(running, cloud, local)


@pytest.fixture
def local() -> Iterator[Upstream]:
    with Upstream().running() as server:
        yield server


def _models(*names: str) -> Script:
    return Script([json.dumps({"data": [{"id": each} for each in names]}).encode()])


def test_the_name_of_the_model_chooses_server_and_key(
    upstream: Upstream, local: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "planted")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway: planted\nAuthorization: planted")
    with _several(local, upstream) as several:
        assert several.run(model="gpt-4o")["text"] == "Hello, world."
        assert several.run(model="llama2")["status"] == "completed"
        assert several.run(model="longtask-demo")["model"] == "longtask-demo"
    [to_cloud], [to_local] = upstream.received, local.received
    assert (to_cloud.body["model"], to_local.body["model"]) == ("gpt-4o", "llama2")
    assert to_cloud.headers["authorization"] == "Bearer sk-planted-secret"
    assert "planted" not in str(to_local.headers)


def test_each_caller_sees_and_uses_its_own_models(upstream: Upstream, local: Upstream) -> None:
    owners = {"alice": ["gpt-*", "longtask-demo"], "*": ["llama*"]}
    upstream.models, local.models = _models("gpt-4o", "whisper"), _models("llama2", "gpt-4o")
    with _several(local, upstream, owners=owners) as several:
        alice = client_of(several.service).with_options(api_key=ALICE)
        bob = client_of(several.service).with_options(api_key=BOB)
        listed = [(each.id, each.owned_by) for each in alice.models.list()]
        assert listed == [("gpt-4o-mini", ""), ("gpt-4o", "cloud"), ("longtask-demo", "demo")]
        assert [each.id for each in bob.models.list()] == ["llama2"]
        with pytest.raises(openai.NotFoundError):
            bob.models.retrieve("gpt-4o")

        with pytest.raises(openai.PermissionDeniedError) as forbidden:
            bob.responses.create(model="gpt-4o", input="Hi.", background=True)
        assert (forbidden.value.code, forbidden.value.param) == ("model_not_allowed", "model")
        assert "You may use llama*." in forbidden.value.message
        asked: Any = {"model": "claude", "messages": [{"role": "user", "content": "Hi."}]}
        with pytest.raises(openai.BadRequestError) as unknown:
            alice.chat.completions.create(**asked)
        assert unknown.value.param == "model"
        assert "gpt-*, longtask-demo" in unknown.value.message

        http = several.service.client.http
        said = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi."}]}
        bodies: dict[str, dict[str, Any]] = {
            "/api/tasks/start": {"prompt": "Hi."},
            "/api/chat": {"messages": [said]},
        }
        for path, body in bodies.items():
            unknown_model = {**body, "model": "claude"}
            refused = http.post(path, json=unknown_model, headers=as_bearer(ALICE))
            assert refused.status_code == 400
            [fault] = refused.json()["errors"]
            assert fault["field"] == "model"
            assert fault["message"].endswith("gpt-*, longtask-demo")
            refused = http.post(path, json={**body, "model": "llama2"}, headers=as_bearer(ALICE))
            assert refused.status_code == 403
            assert refused.json()["type"] == "urn:longtask:problem:model-not-allowed"
        # Bob's default model is none of his.
        refused = http.post("/api/tasks/start", json={"prompt": "Hi."}, headers=as_bearer(BOB))
        assert refused.status_code == 403
    assert upstream.received == local.received == []


def test_one_that_is_down_is_left_out_of_the_list(local: Upstream) -> None:
    local.models = _models("llama2")
    with _several(local, local, ABSENT) as several:
        listed = [each.id for each in client_of(several.service).models.list()]
    assert listed == ["gpt-4o-mini", "llama2", "longtask-demo"]


def test_a_server_that_is_down_is_replaced_in_the_same_attempt(
    local: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    local.always = Script(answer("From", " local."))
    with _several(local, local, ABSENT) as several:
        record = several.run(model="gpt-4o")
        assert (record["status"], record["attempt"]) == ("completed", 1)
        assert (record["text"], record["model"]) == ("From local.", "test-model")
        assert several.run(model="gpt-4o")["attempt"] == 1
        page = several.service.client.http.get("/metrics").text
    assert [each.body["model"] for each in local.received] == ["llama3", "llama3"]
    counted = 'longtask_upstream_fallbacks_total{fallback="local",upstream="cloud"} 2.0'
    assert counted in page
    assert "upstream='cloud' fallback='local'" in caplog.text


@pytest.mark.parametrize("fault", [refusal(503), refusal(429), Script(cut=True)])
def test_a_server_that_fails_at_once_is_replaced(
    upstream: Upstream, local: Upstream, fault: Script
) -> None:
    upstream.then(fault)
    with _several(local, upstream) as several:
        record = several.run(model="gpt-4o")
    assert (record["status"], record["attempt"]) == ("completed", 1)
    assert (len(upstream.received), len(local.received)) == (1, 1)


def test_a_server_that_is_silent_is_replaced_after_its_own_time(
    upstream: Upstream, local: Upstream
) -> None:
    silence = Gate()
    upstream.then(Script([silence]))
    with _several(local, upstream, readTimeout=within(0.3)) as several:
        record = several.run(model="gpt-4o")
        assert (record["status"], record["attempt"]) == ("completed", 1)
        [asked] = upstream.received
        assert asked.gone.wait(within(5))


def test_a_refusal_is_no_absence(upstream: Upstream, local: Upstream) -> None:
    upstream.then(refusal(400, None, "No such thing."))
    with _several(local, upstream) as several:
        assert several.run(model="gpt-4o")["error"]["code"] == "invalid_request"
    assert local.received == []


def test_after_the_first_piece_the_next_attempt_begins_at_the_fallback(
    upstream: Upstream, local: Upstream
) -> None:
    upstream.then(Script([piece("Half")], cut=True), refusal(503))
    local.always = Script(answer("Whole", "."))
    with _several(local, upstream) as several:
        record = several.run(model="gpt-4o")
    assert (record["status"], record["attempt"], record["text"]) == ("completed", 2, "Whole.")


def test_a_text_that_the_fallback_cannot_continue_begins_anew_there(
    upstream: Upstream, local: Upstream
) -> None:
    upstream.then(Script([piece("Half")], cut=True))
    upstream.always = refusal(503)
    local.always = Script(answer("Whole", "."))
    with _several(local, upstream, prefill="vllm") as several:
        task_id = several.service.client.start(model="gpt-4o")
        record = eventually(lambda: _ended(several.service.client.record(task_id)))
        log = several.service.client.events(task_id).logged
    assert (record["status"], record["text"]) == ("completed", "Whole.")
    assert "continuation_lost" in [each.data.get("reason") for each in log]


def test_an_answer_that_a_fallback_keeps_is_read_on_there(
    upstream: Upstream, responses_upstream: ResponsesUpstream
) -> None:
    first, second = (
        {"name": name, "api": "responses", "models": [models], "baseUrl": server.url}
        for name, models, server in (("a", "*", upstream), ("b", "m", responses_upstream))
    )
    second_own: dict[str, Any] = {"names": {"*": "m"}, "deleteResponses": True}
    upstreams: list[Any] = [{**first, "fallback": ["b"]}, {**second, **second_own}]
    upstream.then(refusal(503))
    responses_upstream.answer(*answer_events("One", " two", " three."))
    responses_upstream.breaks.append(4)
    settings = settings_for(models=json.dumps({"upstreams": upstreams}), qstash_retry_delay="20")
    with running_service(settings) as running:
        several = Several(running, upstream, responses_upstream)
        record = several.run(model="gpt-4o")
        assert (record["status"], record["attempt"]) == ("completed", 2)
        assert record["text"] == "One two three."
        eventually(lambda: responses_upstream.deleted)
    assert (responses_upstream.asked, len(upstream.received)) == (1, 1)
    assert responses_upstream.received[0].body["model"] == "m"
