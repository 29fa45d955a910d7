"""The files in deploy/, and the compose stack: the figures that they name exist, and the doors that
they should keep closed are."""

import json
import re
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from adapters.prometheus import Metrics
from adapters.qstash import DEVELOPMENT
from entrypoints.settings.loading import names as names_of_settings
from entrypoints.settings.sources import PAIRS
from tests.running import Running

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def names() -> set[str]:
    """Every figure as Prometheus stores it."""
    found = set()
    for kind, line in re.findall(
        r"^# TYPE (\S+) (\w+)$", Metrics().exposition().decode(), re.MULTILINE
    ):
        suffixes = ("_bucket", "_sum", "_count") if line == "histogram" else ("",)
        found |= {kind + suffix for suffix in suffixes}
    return found


@pytest.mark.parametrize("file", ["grafana-dashboard.json", "alerts.yml"])
def test_only_figures_that_exist_are_named(file: str) -> None:
    named = set(re.findall(r"\blongtask_\w+", (DEPLOY / file).read_text()))
    assert named
    assert named <= names()


def test_the_dashboard_shows_every_figure() -> None:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    shown = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    kinds = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names()}
    assert {each for each in kinds if each not in shown} <= {"longtask_cancels_total"}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@pytest.fixture(scope="module")
def stack() -> Any:
    """docker-compose.yml, with the default of each variable."""
    text = (ROOT / "docker-compose.yml").read_text()
    return yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))


def sections(text: str) -> dict[str, str]:
    """Those of haproxy.cfg, by their first lines."""
    parts = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)
    found = {part.partition("\n")[0]: part for part in parts}
    assert len(found) == len(parts), "HAProxy refuses two sections of one name"
    return found


def test_the_stack_is_published_on_loopback_only(stack: Any) -> None:
    published = [
        (name, port) for name, each in stack["services"].items() for port in each.get("ports", [])
    ]
    assert published == [("proxy", "127.0.0.1:8000:8000")]


def test_the_stack_trusts_its_own_proxy_only(stack: Any) -> None:
    address = ip_address(stack["services"]["app"]["environment"]["LONGTASK_TRUSTED_PROXIES"])
    proxy = stack["services"]["proxy"]["networks"]["default"]["ipv4_address"]
    assert str(address) == proxy
    (network,) = stack["networks"]["default"]["ipam"]["config"]
    assert address in ip_network(network["subnet"])
    # No other container is given the address, not even while the proxy is away.
    assert address not in ip_network(network["ip_range"])
    assert ip_network(network["ip_range"]).subnet_of(ip_network(network["subnet"]))  # type: ignore[arg-type]
    others = [each for name, each in stack["services"].items() if name != "proxy"]
    assert all("networks" not in each for each in others)


def test_the_stacks_proxy_believes_no_client(stack: Any) -> None:
    backend = sections((DEPLOY / "haproxy.cfg").read_text())["backend app"]
    assert "http-request set-header X-Forwarded-For %[src]\n" in backend
    assert "http-request set-header X-Forwarded-Proto http\n" in backend


def test_deliveries_have_a_port_of_their_own_that_is_not_published(stack: Any) -> None:
    assert stack["services"]["app"]["environment"]["BASE_URL"] == "http://proxy:8001"
    parts = sections((DEPLOY / "haproxy.cfg").read_text())
    assert "bind :8000\n" in parts["frontend public"]
    assert re.search(r"http-request deny .* qstash }", parts["frontend public"])
    assert "bind :8001\n" in parts["frontend deliveries"]


def test_the_stack_says_that_it_is_one_for_development(stack: Any) -> None:
    app = stack["services"]["app"]["environment"]
    assert app["LONGTASK_ALLOW_DEVELOPMENT_KEYS"] == "true"
    assert app["QSTASH_TOKEN"] == DEVELOPMENT.token
    assert app["QSTASH_CURRENT_SIGNING_KEY"] == DEVELOPMENT.current_key
    assert app["QSTASH_NEXT_SIGNING_KEY"] == DEVELOPMENT.next_key


OF_THE_STACK = {
    "LONGTASK_HOST",
    "LONGTASK_PORT",
    "LONGTASK_ALLOW_ANONYMOUS",
    "LONGTASK_ALLOW_DEVELOPMENT_KEYS",
    "LONGTASK_TRUST_ALL_CALLERS",
    "LONGTASK_TRUSTED_PROXIES",
    "BASE_URL",
    "LONGTASK_DATA",
    "REDIS_URL",
    "UPSTASH_REDIS_REST_URL",
    "UPSTASH_REDIS_REST_TOKEN",
    "QSTASH_URL",
    "QSTASH_TOKEN",
    "QSTASH_CURRENT_SIGNING_KEY",
    "QSTASH_NEXT_SIGNING_KEY",
}
"""What .env says of these is for a service outside the stack, or for the stack itself."""


def test_the_stack_passes_every_setting_on_but_its_own(stack: Any) -> None:
    app = stack["services"]["app"]["environment"]
    passed_on = {name for name, value in app.items() if value is None}
    assert app.keys() - passed_on == OF_THE_STACK
    secrets_of_traces = {name for name in PAIRS if name.startswith("OTEL_")}
    assert passed_on == ({*names_of_settings()} - OF_THE_STACK) | secrets_of_traces


def test_the_images_of_the_stack_are_pinned(stack: Any) -> None:
    """But for ours, which is built, and QStash's, of which no version is published."""
    services = stack["services"]
    for name in ("proxy", "redis"):
        assert re.fullmatch(r"\w+:\d+\.\d+\.\d+-\w+", services[name]["image"])
    assert services["local-qstash"]["build"]["args"] == services["app"]["build"]["args"]
    base = services["app"]["build"]["args"]["BASE_IMAGE"]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)
    assert f"ARG BASE_IMAGE={base}\n" in (ROOT / "Dockerfile").read_text()


def test_the_images_health_check_asks_no_proxy(service: Running) -> None:
    text = (ROOT / "Dockerfile").read_text()
    *_, command = re.findall(r"^    CMD (\[.*\])$", text, re.MULTILINE)
    program, *words = json.loads(command)
    assert program == "python3"
    settings = {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}
    for port, status in ((service.url.rpartition(":")[2], 0), ("1", 1)):
        done = subprocess.run(  # noqa: S603
            [sys.executable, *words],
            env={**settings, "LONGTASK_PORT": port},
            capture_output=True,
            check=False,
        )
        assert done.returncode == status, done.stderr


def test_the_image_of_the_local_qstash_takes_the_place_of_upstashs(
    stack: Any, tmp_path: Path
) -> None:
    target = stack["services"]["local-qstash"]["build"]["target"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    stage = dockerfile.partition(f"FROM installed AS {target}\n")[2].partition("\nFROM ")[0]
    assert "EXPOSE 8080\n" in stage
    (command,) = re.findall(r"^CMD (\[.*\])$", stage, re.MULTILINE)
    program, *words = json.loads(command)
    assert stack["services"]["qstash"]["command"] == " ".join([program, *words])
    (tmp_path / "longtask").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "longtask").chmod(0o755)
    said = subprocess.run(  # noqa: S603
        [DEPLOY / program, *words, "--port", "8081"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    options = "--host 0.0.0.0 --allowed-host qstash --json-logs --port 8081"
    assert said == f"local-qstash {options}\n"
