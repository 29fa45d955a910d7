"""Signing keys that are not in the settings: QStash is asked for them."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from dependency_injector import providers

from adapters.qstash import SigningKeys
from adapters.qstash import keys as keys_module
from entrypoints.container import Container
from tests.doubles.destination import Answer, Destination
from tests.running import Running, running_service, settings_for
from tests.signing import CURRENT, NEXT, WEBHOOK, deliver, keys_answer, message, sign
from tests.waiting import eventually

BASE = "https://tasks.example"
OTHERS = ("sig_after_a_rotation_0123456789abcdef", "sig_after_two_rotations_0123456789abc")


@pytest.fixture
def stub() -> Iterator[Destination]:
    with Destination().running() as stub:
        yield stub


def _settings(stub: Destination, **more: Any) -> Any:
    return settings_for(
        qstash_token="token", base_url=BASE, qstash_url=stub.url, qstash_timeout=2.0, **more
    )


def _says(stub: Destination, answer: Answer) -> None:
    stub.answers.clear()
    stub.answers.extend([answer] * 500)


def _delivered(service: Running, key: str, task_id: str = "task_1_a") -> httpx.Response:
    body = message(task_id)
    return deliver(service.client.http, body, sign(BASE + WEBHOOK, body, key))


def test_keys_are_asked_for_at_the_start(stub: Destination) -> None:
    _says(stub, Answer(body=keys_answer()))
    with running_service(_settings(stub)) as service:
        eventually(lambda: stub.at("/v2/keys"))
        assert _delivered(service, CURRENT).status_code == 200
        assert _delivered(service, NEXT, "task_1_b").status_code == 200
        assert _delivered(service, OTHERS[0]).status_code == 401
        assert service.client.http.get("/readyz").status_code == 200


def test_while_the_keys_are_unknown_a_delivery_comes_again(
    stub: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, not 401: the queue must not give up on what cannot be judged yet."""
    monkeypatch.setattr(keys_module, "ASK_PAUSE", 0.5)
    _says(stub, Answer(500))
    with running_service(_settings(stub)) as service:
        reply = _delivered(service, CURRENT)
        assert reply.status_code == 503
        assert reply.json()["type"] == "urn:longtask:problem:keys-unknown"
        assert int(reply.headers["Retry-After"]) >= 1
        assert reply.headers["Connection"] == "close"
        assert service.client.http.post(WEBHOOK, content=b"{}").status_code == 401  # unsigned
        assert service.client.http.get("/readyz").json()["checks"]["keys"] == "unknown"
        _says(stub, Answer(body=keys_answer()))
        eventually(lambda: _delivered(service, CURRENT).status_code == 200)
        eventually(lambda: service.client.http.get("/readyz").status_code == 200)


def test_a_rotation_is_learnt_and_forgers_cause_few_questions(
    stub: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys_module, "ASK_PAUSE", 1.0)
    _says(stub, Answer(body=keys_answer()))
    with running_service(_settings(stub)) as service:
        eventually(lambda: _delivered(service, CURRENT).status_code == 200)
        _says(stub, Answer(body=keys_answer(*OTHERS)))
        eventually(lambda: _delivered(service, OTHERS[0], "task_1_b").status_code == 200)
        assert _delivered(service, CURRENT).status_code == 401
        monkeypatch.setattr(keys_module, "ASK_PAUSE", 3600.0)
        asked = len(stub.at("/v2/keys"))
        for _ in range(50):
            assert _delivered(service, "sig_of_a_forger_0123456789abcdefghij").status_code == 401
        assert len(stub.at("/v2/keys")) <= asked + 1


def test_keys_that_are_set_win_and_none_are_asked_for(stub: Destination) -> None:
    _says(stub, Answer(body=keys_answer(*OTHERS)))
    keys = {"qstash_current_signing_key": CURRENT, "qstash_next_signing_key": NEXT}
    with running_service(_settings(stub, **keys)) as service:
        assert _delivered(service, CURRENT).status_code == 200
        assert _delivered(service, OTHERS[0]).status_code == 401
        assert stub.at("/v2/keys") == []


def test_keys_that_are_refused_are_unknown_and_the_log_says_why(
    stub: Destination, caplog: pytest.LogCaptureFixture
) -> None:
    """One that is public is refused, also if it is only the next one."""

    def build(queue: Any) -> SigningKeys:
        return SigningKeys(queue.signing_keys, refused=lambda key: key == NEXT)

    _says(stub, Answer(body=keys_answer()))
    with (
        Container.signing_keys.override(providers.Singleton(build, Container.qstash)),
        running_service(_settings(stub)) as service,
    ):
        assert _delivered(service, CURRENT).status_code == 503
        ready = service.client.http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"]["keys"] == "refused"
    [line] = {each.getMessage() for each in caplog.records if "keys refused" in each.getMessage()}
    assert "public" in line
    assert NEXT not in caplog.text


def test_blank_keys_with_which_anybody_could_sign_are_not_learnt(stub: Destination) -> None:
    _says(stub, Answer(body=keys_answer(" ", " ")))
    with running_service(_settings(stub)) as service:
        eventually(lambda: stub.at("/v2/keys"))
        assert _delivered(service, CURRENT).status_code == 503
        assert service.client.http.get("/readyz").json()["checks"]["keys"] == "unknown"
