"""Older versions of openai-python read responses of every kind as the newest one does."""

from collections.abc import Iterator

import pytest

from tests.official.logs import KINDS, PLACES, put
from tests.official.programs import Program, environment, running_program
from tests.running import Running

pytestmark = pytest.mark.soak
RESPONSES = {"api": "responses", "background": True, "summary": "auto"}


@pytest.fixture(scope="module", params=["1.99.9", "2.8.0"])
def older(
    request: pytest.FixtureRequest, shared_service: Running, pytestconfig: pytest.Config
) -> Iterator[Program]:
    assert pytestconfig.cache is not None
    interpreter = environment(pytestconfig.cache, f"openai=={request.param}")
    with running_program(interpreter, "openai_program", shared_service.url) as program:
        yield program


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_response_is_read_in_every_way(
    shared_service: Running, older: Program, kind: str
) -> None:
    task_id = put(shared_service, KINDS[kind], echo=RESPONSES)
    assert older(response=f"resp_{task_id}", parsed=False) == {"told": None}


@pytest.mark.parametrize("kind", PLACES)
def test_a_structured_answer_is_parsed_and_a_lost_half_of_one_does_not_raise(
    shared_service: Running, older: Program, kind: str
) -> None:
    steps = PLACES[kind]
    task_id = put(shared_service, steps, echo=RESPONSES)
    spoken = "JSON" in kind and steps[-1] == "stop"
    told = {"told": "Oslo" if spoken else None}
    assert older(response=f"resp_{task_id}", parsed=True) == told
