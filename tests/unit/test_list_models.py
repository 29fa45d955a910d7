"""The list of models: asked for once, kept for a while, never without the default model."""

import asyncio
from collections.abc import Sequence

from application.errors import ModelRefused, ModelUnavailable
from application.list_models import FAILURE_KEPT, KEPT, ListModels
from application.ports import OfferedModel
from tests.doubles.model import DrivenModel

A, B = OfferedModel("a", 1, "x"), OfferedModel("b", 2, "y")


class Offering(DrivenModel):
    """Returns or raises what it is given, and counts how often."""

    def __init__(self, offered: Sequence[OfferedModel] | Exception) -> None:
        super().__init__()
        self.offered = offered
        self.listed = 0

    async def models(self) -> Sequence[OfferedModel]:
        self.listed += 1
        await asyncio.sleep(0)
        if isinstance(self.offered, Exception):
            raise self.offered
        return self.offered


class Time:
    now = 100.0


def listing(model: Offering, default: str = "b") -> tuple[ListModels, Time]:
    time = Time()
    return ListModels(model, default, now=lambda: time.now), time


async def test_the_default_model_is_first_and_there_once() -> None:
    model = Offering([A, B, A])
    assert await listing(model, "b")[0]() == [B, A]
    assert [each.name for each in await listing(model, "c")[0]()] == ["c", "a", "b"]


async def test_a_list_is_kept_for_a_while() -> None:
    model = Offering([A])
    list_models, time = listing(model)
    await list_models()
    time.now += KEPT - 1
    await list_models()
    assert model.listed == 1
    time.now += 1
    model.offered = []
    assert [each.name for each in await list_models()] == ["b"]
    assert model.listed == 2


async def test_a_server_that_cannot_list_is_asked_again_soon() -> None:
    for error in (ModelUnavailable("model_error", "No."), ModelRefused("wrong_address", "No.")):
        model = Offering(error)
        list_models, time = listing(model)
        assert [each.name for each in await list_models()] == ["b"]
        await list_models()
        assert model.listed == 1
        time.now += FAILURE_KEPT
        model.offered = [A, B]
        assert await list_models() == [B, A]


async def test_many_ask_once() -> None:
    model = Offering([A])
    list_models, _ = listing(model)
    lists = await asyncio.gather(*(list_models() for _ in range(10)))
    assert model.listed == 1
    assert all(each == lists[0] for each in lists)
