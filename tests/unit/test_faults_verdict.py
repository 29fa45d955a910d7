"""What the random faults ask of a server that keeps answers can fail."""

from collections.abc import Sequence

from domain.events import ContentAdded, Event, StatusChanged, TaskStatus
from tests.doubles.responses_upstream import KeptResponse, end_event
from tests.faults.keeping import KeepingModel, Made
from tests.faults.planned import Plan

PLAN = Plan("t0", 5, 0.0, ())
SAID = ContentAdded(0, "Hello")


def running(attempt: int, *, resumed: bool = False) -> Event:
    return StatusChanged(0, TaskStatus.RUNNING, attempt, None, resumed)


def model_of(*answers: Made) -> KeepingModel:
    model = KeepingModel()
    model.made[PLAN.name].extend(answers)
    return model


def answer(task_id: str = "task", *, failed: bool = False, forgotten: bool = False) -> Made:
    response = KeptResponse("resp_1")
    if failed:
        response.tell(end_event([], "failed"))
    return Made(response, task_id, forgotten)


def faults(model: KeepingModel, events: Sequence[Event] = ()) -> list[str]:
    return model.log_faults(PLAN, "task", events)


def test_an_answer_may_be_asked_for_once_more_only_if_it_was_lost() -> None:
    assert faults(model_of(answer(), answer())) == ["asked for 2 answers, of which 0 were lost"]
    assert not faults(model_of(answer(failed=True), answer()))
    assert not faults(model_of(answer(forgotten=True), answer()))
    assert not faults(model_of(answer("another"), answer()))


def test_a_text_may_be_taken_back_only_if_its_answer_was_lost() -> None:
    anew = [running(1), SAID, running(2), SAID]
    assert faults(model_of(answer()), anew) == ["its text was taken back 1 times, and 0 were lost"]
    assert not faults(model_of(answer()), [running(1), SAID, running(2, resumed=True), SAID])
    assert not faults(model_of(answer(failed=True), answer()), anew)


def test_no_answer_may_be_made_of_whose_end_the_server_should_know() -> None:
    running_one, ended = answer(), answer()
    ended.response.tell(end_event([]))
    said, nothing_said = [running(1), SAID], [running(1)]
    assert model_of(running_one).leftovers(PLAN, "task", said)
    assert not model_of(running_one).leftovers(PLAN, "task", nothing_said)
    assert not model_of(ended).leftovers(PLAN, "task", said)
