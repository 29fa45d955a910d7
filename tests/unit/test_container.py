"""The composition root builds every combination of what the settings choose."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from adapters.demo import DemoModel
from adapters.memory import MemoryTaskLog
from adapters.openai import OpenAIModel
from adapters.openai.responses import ResponsesModel
from adapters.redis import RedisTaskLog
from adapters.sqlite import SqliteTaskLog
from adapters.upstreams import RoutedModel
from application.meter import MeteredTaskLog
from application.running_slots import SlotReleasingLog
from entrypoints.api_keys import new_key
from entrypoints.container import Container
from entrypoints.data_file import open_data_file
from entrypoints.http.parts import HttpParts
from entrypoints.lifecycle import Lifecycle, close_all
from tests.running import settings_for

STORES: dict[str, dict[str, Any]] = {
    "memory": {},
    "file": {"data": ".longtask"},
    "redis": {"redis_url": "redis://127.0.0.1:1"},
    "rest": {"upstash_redis_rest_url": "http://127.0.0.1:1", "upstash_redis_rest_token": "t"},
}
TASK_LOGS = {
    "memory": MemoryTaskLog,
    "file": SqliteTaskLog,
    "redis": RedisTaskLog,
    "rest": RedisTaskLog,
}
QUEUES: dict[str, dict[str, Any]] = {
    "local": {},
    "qstash": {"qstash_token": "t", "base_url": "https://tasks.example"},
}
MODELS: dict[str, dict[str, Any]] = {
    "demo": {},
    "chat": {"openai_api_key": "sk-test"},
    "responses": {"openai_api_key": "sk-test", "openai_api": "responses"},
    "several": {"models": '{"upstreams": [{"name": "a", "models": ["*"], "apiKey": "sk-test"}]}'},
}
MODEL_TYPES = {
    "demo": DemoModel,
    "chat": OpenAIModel,
    "responses": ResponsesModel,
    "several": RoutedModel,
}
TRACES: dict[str, dict[str, Any]] = {"off": {}, "otlp": {"otlp_endpoint": "http://127.0.0.1:1"}}


@pytest.mark.parametrize(
    ("store", "queue", "model", "traces"), list(product(STORES, QUEUES, MODELS, TRACES))
)
async def test_every_choice_is_built_and_closed(
    tmp_path: Path, store: str, queue: str, model: str, traces: str
) -> None:
    settings = settings_for(**STORES[store], **QUEUES[queue], **MODELS[model], **TRACES[traces])
    database = open_data_file(tmp_path / "longtask.db") if store == "file" else None
    container = Container(
        settings=settings,
        database=database,
        base_url="https://tasks.example",
        local_qstash_url="http://127.0.0.1:2",
        queue_credentials=settings.queue.credentials(),
    )
    http, lifecycle = container.http(), container.lifecycle()
    try:
        assert isinstance(http, HttpParts)
        assert isinstance(lifecycle, Lifecycle)
        assert isinstance(container.kept_tasks(), TASK_LOGS[store])
        assert (container.housekeeping() is not None) is (store in ("memory", "file"))
        assert isinstance(container.model_client(), MODEL_TYPES[model])
        assert container.qstash_url() == (
            "http://127.0.0.1:2" if queue == "local" else settings.queue.qstash_url
        )
        assert (http.tracing is None) is (traces == "off")
        assert lifecycle.connections[-1] is http.tracing  # all others make spans as they close
        assert lifecycle.connections[-2] is container.connection()
        assert container.tasks() is container.tasks()
    finally:
        await close_all([*lifecycle.connections, database])


@pytest.mark.parametrize("limited", ["limits", "address_limits"])
def test_slots_are_released_where_running_tasks_are_limited(limited: str) -> None:
    _, entry = new_key("alice")
    keys = {"api_keys": entry, "stream_secret": "s" * 40}
    settings = settings_for(**{limited: "running=1"}, **keys)
    container = Container(
        settings=settings, base_url="", queue_credentials=settings.queue.credentials()
    )
    assert isinstance(container.releasing_tasks(), SlotReleasingLog)
    assert isinstance(Container(settings=settings_for()).releasing_tasks(), MeteredTaskLog)


class Connected:
    def __init__(self, name: str, closed: list[str]) -> None:
        self._name = name
        self._closed = closed

    async def aclose(self) -> None:
        self._closed.append(self._name)
        if self._name == "b":
            raise OSError("cannot be closed")


async def test_all_are_closed_in_order_although_one_fails() -> None:
    closed: list[str] = []
    with pytest.raises(OSError, match="cannot be closed"):
        await close_all(
            [Connected("a", closed), None, Connected("b", closed), Connected("c", closed)]
        )
    assert closed == ["a", "b", "c"]
