"""`longtask doctor` beside real parts: one that is well, and one fault at a time."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.qstash import DEVELOPMENT, QueueCredentials
from entrypoints.api_keys import new_key
from tests.commands import invoke
from tests.doubles.upstream import Script, Upstream, refusal
from tests.processes import run_to_its_end
from tests.redis_server import LocalRedis, free_port
from tests.running import running_local_qstash, running_service, settings_for

KEY, ENTRY = new_key("alice")
QUEUE = QueueCredentials.random()


def models(*names: str) -> Script:
    data = [{"id": name, "object": "model", "created": 1, "owned_by": "t"} for name in names]
    body = json.dumps({"object": "list", "data": data}).encode()
    return Script([body], headers={"content-type": "application/json"})


class Deployment:
    """A whole one that is well, and what is changed of it."""

    def __init__(self, folder: Path, redis: LocalRedis, qstash_url: str, base_url: str) -> None:
        self.folder = folder
        self.settings = {
            "REDIS_URL": redis.url,
            "QSTASH_URL": qstash_url,
            "QSTASH_TOKEN": QUEUE.token,
            "QSTASH_CURRENT_SIGNING_KEY": QUEUE.current_key,
            "QSTASH_NEXT_SIGNING_KEY": QUEUE.next_key,
            "BASE_URL": base_url,
            "OPENAI_API_KEY": "sk-planted-secret",
            "LONGTASK_API_KEYS": ENTRY,
            "LONGTASK_STREAM_SECRET": "a secret of forty characters, or even more",
            "LONGTASK_LIMITS": "starts=60",
        }

    def examined(self, upstream: Upstream, **changed: str) -> tuple[int, list[str]]:
        settings = {**self.settings, "OPENAI_BASE_URL": upstream.url, **changed}
        ran = invoke(self.folder, "doctor", **settings)
        assert ran.stderr == ""
        for secret in (
            QUEUE.token,
            QUEUE.current_key,
            "sk-planted-secret",
            KEY,
            "a secret of",
        ):
            assert secret not in ran.stdout
        return ran.exit_code, ran.stdout.splitlines()


@pytest.fixture(scope="module")
def redis() -> Iterator[LocalRedis]:
    with LocalRedis("--appendonly", "yes").running() as server:
        yield server


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, redis: LocalRedis) -> Iterator[Deployment]:
    with running_local_qstash(QUEUE) as qstash_url:
        port = free_port()
        settings = settings_for(
            port=port,
            redis_url=redis.url,
            qstash_url=qstash_url,
            qstash_token=QUEUE.token,
            qstash_current_signing_key=QUEUE.current_key,
            qstash_next_signing_key=QUEUE.next_key,
            base_url=f"http://127.0.0.1:{port}",
            api_keys=ENTRY,
            stream_secret="a secret of forty characters, or even more",
        )
        with running_service(settings) as service:
            yield Deployment(tmp_path_factory.mktemp("doctor"), redis, qstash_url, service.url)


def test_what_is_well_is_called_so(deployment: Deployment, upstream: Upstream) -> None:
    upstream.then(models("gpt-4o-mini"))
    status, lines = deployment.examined(upstream)
    assert status == 0
    assert {line[:4] for line in lines} == {"ok  "}, lines
    assert {line.partition(":")[0].split()[1] for line in lines} == {
        "access",
        "store",
        "queue",
        "address",
        "model",
    }


@pytest.mark.soak
def test_it_says_the_same_in_a_process_of_its_own(
    deployment: Deployment, upstream: Upstream
) -> None:
    upstream.then(models("gpt-4o-mini"), models("gpt-4o-mini"))
    status, lines = deployment.examined(upstream)
    settings = {**deployment.settings, "OPENAI_BASE_URL": upstream.url}
    ran = run_to_its_end(deployment.folder, "doctor", **settings)
    assert (ran.returncode, ran.stderr) == (status, "")
    assert _timeless(ran.stdout.splitlines()) == _timeless(lines)


def _timeless(lines: list[str]) -> list[str]:
    """Without how long the store took."""
    return [re.sub(r"[\d.]+ ms", "so many ms", line) for line in lines]


def fault(lines: list[str], level: str, part: str) -> str:
    """What is said of one part, and the advice beneath it."""
    at = next((n for n, line in enumerate(lines) if line.startswith(f"{level:5}{part}:")), None)
    assert at is not None, lines
    assert lines[at + 1].startswith("     -> "), lines
    return f"{lines[at]} {lines[at + 1]}"


@pytest.mark.parametrize(
    ("changed", "level", "part", "said"),
    [
        ({"REDIS_URL": "redis://127.0.0.1:1"}, "fail", "store", "cannot be reached"),
        ({"REDIS_URL": ""}, "warn", "store", "set REDIS_URL"),
        ({"QSTASH_TOKEN": "wrong"}, "fail", "queue", "refuses the token"),
        ({"QSTASH_URL": "http://127.0.0.1:1"}, "fail", "queue", "127.0.0.1:1"),
        (
            {"QSTASH_CURRENT_SIGNING_KEY": "sig_old", "QSTASH_NEXT_SIGNING_KEY": "sig_older"},
            "fail",
            "queue",
            "every delivery will be rejected",
        ),
        (
            {
                "QSTASH_CURRENT_SIGNING_KEY": "sig_old",
                "QSTASH_NEXT_SIGNING_KEY": QUEUE.current_key,
            },
            "warn",
            "queue",
            "were rotated",
        ),
        ({"BASE_URL": "http://127.0.0.1:1"}, "fail", "address", "does not respond"),
        ({"LONGTASK_LIMITS": ""}, "warn", "access", "LONGTASK_LIMITS"),
        (
            {
                "LONGTASK_API_KEYS": "",
                "LONGTASK_LIMITS": "",
                "LONGTASK_HOST": "0.0.0.0",  # noqa: S104
                "LONGTASK_ALLOW_ANONYMOUS": "true",
            },
            "warn",
            "access",
            "longtask key new",
        ),
    ],
)
def test_each_fault_is_found_and_advised_on(
    deployment: Deployment,
    upstream: Upstream,
    changed: dict[str, str],
    level: str,
    part: str,
    said: str,
) -> None:
    upstream.then(models("gpt-4o-mini"))
    status, lines = deployment.examined(upstream, **changed)
    assert said in fault(lines, level, part)
    failed = {line.split()[1] for line in lines if line.startswith("fail")}
    # The service that runs has the keys that some of these leave out.
    assert failed - {"address:"} == ({f"{part}:"} if level == "fail" else set()) - {"address:"}
    assert status == (1 if failed else 0)


PUBLIC = {
    "QSTASH_TOKEN": DEVELOPMENT.token,
    "QSTASH_CURRENT_SIGNING_KEY": DEVELOPMENT.current_key,
    "QSTASH_NEXT_SIGNING_KEY": DEVELOPMENT.next_key,
}


def test_development_keys_are_called_so_on_a_development_stack(
    deployment: Deployment, upstream: Upstream
) -> None:
    upstream.then(models("gpt-4o-mini"))
    with running_local_qstash() as qstash_url:
        _, lines = deployment.examined(
            upstream, **PUBLIC, QSTASH_URL=qstash_url, LONGTASK_ALLOW_DEVELOPMENT_KEYS="true"
        )
    said = fault(lines, "warn", "queue")
    assert "development server" in said
    for name in PUBLIC:
        assert name in said
    # The service that runs has other keys.
    assert [line for line in lines if line.startswith("fail")] == [
        line for line in lines if line.startswith("fail address:")
    ]


def test_a_queue_that_signs_with_development_keys_fails(
    deployment: Deployment, upstream: Upstream
) -> None:
    upstream.then(models("gpt-4o-mini"))
    own_token = replace(DEVELOPMENT, token=QUEUE.token)
    with running_local_qstash(own_token) as qstash_url:
        status, lines = deployment.examined(upstream, QSTASH_URL=qstash_url)
    assert "development server" in fault(lines, "fail", "queue")
    assert status == 1


def test_a_redis_that_may_forget(deployment: Deployment, upstream: Upstream) -> None:
    upstream.then(models("gpt-4o-mini"))
    with LocalRedis("--maxmemory-policy", "allkeys-lru").running() as forgetful:
        status, lines = deployment.examined(upstream, REDIS_URL=forgetful.url)
    assert status == 1
    assert "noeviction" in fault(lines, "fail", "store")
    assert "appendonly" in fault(lines, "warn", "store")


def test_an_address_that_leads_elsewhere(deployment: Deployment, upstream: Upstream) -> None:
    upstream.then(models("gpt-4o-mini"))
    _, lines = deployment.examined(upstream, BASE_URL=deployment.settings["QSTASH_URL"])
    assert "not as this service does" in fault(lines, "fail", "address")


def test_another_instance_is_told_from_the_own_one(
    deployment: Deployment, upstream: Upstream
) -> None:
    """It demands signatures, too, but has other keys, or was given another address."""
    upstream.then(models("gpt-4o-mini"), models("gpt-4o-mini"))
    with running_service(settings_for()) as other:
        status, lines = deployment.examined(upstream, BASE_URL=other.url)
    assert "another Longtask" in fault(lines, "fail", "address")
    assert status == 1
    by_another_name = deployment.settings["BASE_URL"].replace("127.0.0.1", "localhost")
    _, lines = deployment.examined(upstream, BASE_URL=by_another_name)
    assert "which of signature, url, body" in fault(lines, "fail", "address")


@pytest.mark.parametrize(
    ("host", "shown"),
    [("::1", "[::1]"), ("::", "[::1]"), ("0.0.0.0", "127.0.0.1")],  # noqa: S104
)
def test_the_address_that_it_listens_on_is_called(tmp_path: Path, host: str, shown: str) -> None:
    at = {"LONGTASK_HOST": host, "LONGTASK_PORT": str(free_port())}
    done = invoke(tmp_path, "doctor", **at, LONGTASK_ALLOW_ANONYMOUS="true")
    assert f"address: http://{shown}:{at['LONGTASK_PORT']} does not respond" in done.stdout


def test_a_queue_on_the_internet_cannot_reach_this_machine(
    deployment: Deployment, upstream: Upstream
) -> None:
    upstream.then(models("gpt-4o-mini"))
    _, lines = deployment.examined(
        upstream, QSTASH_URL="http://192.0.2.1", LONGTASK_QSTASH_TIMEOUT="1"
    )
    assert "on the internet" in fault(lines, "fail", "address")


@pytest.mark.parametrize(
    ("script", "level", "said"),
    [
        (refusal(401, "invalid_api_key"), "fail", "refuses the key"),
        (refusal(404), "warn", "cannot be listed"),
        (models("another"), "warn", "LONGTASK_DEFAULT_MODEL"),
    ],
)
def test_a_model_that_will_not_answer(
    deployment: Deployment, upstream: Upstream, script: Script, level: str, said: str
) -> None:
    upstream.then(script)
    _, lines = deployment.examined(upstream)
    assert said in fault(lines, level, "model")
