"""Attempts go on with what earlier ones said, on every store, wherever a process is killed."""

import secrets
from dataclasses import replace

from application.outcome import Ack, Retry
from domain.answer import Answer
from tests.contract.stores import Store
from tests.doubles.prefilled import WHOLE, WORDS, Prefilled
from tests.unit.continuing_bench import PIECES, USAGE, Bench
from tests.unit.webhook_bench import Died, Mortal

SHORT_LEASE = 0.05
"""That of processes that are killed, in seconds: others wait for so long."""


def new_id() -> str:
    return f"task_1_{secrets.token_hex(6)}"


async def is_killed(bench: Bench, call: int) -> bool:
    """Whether the process of a delivery dies before this call of the store. (A store whose
    connections the last death has torn may be unavailable at first.)"""
    bounds = bench.bounds
    bench.bounds = replace(bounds, lease=SHORT_LEASE)
    try:
        # In an asyncio task of its own, which dies, too: it may be left with a cancellation.
        while await bench.delivering(bench.process(Mortal(bench.tasks, [], 2 * call))) == Retry():
            pass
    except (Died, BaseExceptionGroup):
        return True
    finally:
        bench.bounds = bounds
    return False


async def of_a_kept_answer(store: Store, call: int) -> bool:
    bench = Bench(tasks=store.tasks, feed=store.feed, task_id=new_id())
    killed = await is_killed(bench, call)
    assert await bench.deliver() == Ack()
    ended = await bench.ended()
    assert (ended.answer.text, ended.usage) == ("One two three", USAGE)
    assert await bench.retractions() == 0
    assert len(bench.keeping.by_key) == 1
    assert bench.keeping.releases[-1] is True
    return killed


async def of_a_prefilled_one(store: Store, call: int) -> bool:
    model = Prefilled()
    bench = Bench(model, tasks=store.tasks, feed=store.feed, task_id=new_id())
    killed = await is_killed(bench, call)
    assert await bench.deliver() == Ack()
    assert (await bench.ended()).answer == Answer(WHOLE)
    assert bench.observer.lost_tokens == []
    return killed


async def test_no_kept_answer_is_asked_for_twice_or_taken_back(store: Store) -> None:
    assert all([await of_a_kept_answer(store, call) for call in range(len(PIECES) + 5)])


async def test_no_text_is_taken_back_if_the_model_can_go_on_from_it(store: Store) -> None:
    assert all([await of_a_prefilled_one(store, call) for call in range(len(WORDS) + 4)])
