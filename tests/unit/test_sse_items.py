"""Output items on the native stream: as the upstream gave them, in their events and in `end`."""

import json

import msgspec

from application.ports import Batch
from domain.answer import Answer
from domain.events import Event, ItemAdded, TaskEnded
from domain.position import Position
from entrypoints.http.native.event_bodies import StreamEvent
from entrypoints.http.sse.encoder import SseEncoder
from tests.native_events import event_of

PICTURE = {"type": "image_generation_call", "id": "ig_1", "result": "aGk=", "later": {"é": [None]}}


def test_an_item_is_told_as_it_is_and_again_in_the_end() -> None:
    events: list[Event] = [
        ItemAdded(1, PICTURE),
        TaskEnded(1, Answer(items=(PICTURE,)), "stop", "m"),
    ]
    batch = Batch(Position("e", 0), "e", tuple(events))
    told = [
        json.loads(line.removeprefix("data: "))
        for line in SseEncoder().frame("task_1_a", batch).decode().splitlines()
        if line.startswith("data: ")
    ]
    assert told[0] == {"type": "item", "taskId": "task_1_a", "timestamp": 1, "data": PICTURE}
    assert told[1]["items"] == [PICTURE]
    assert [event_of(each) for each in told] == events
    for each in told:
        assert msgspec.to_builtins(msgspec.convert(each, StreamEvent)) == each
