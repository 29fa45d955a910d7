"""What the metrics count of the calls of the log."""

from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from adapters.prometheus import MeasuredTaskLog, Metrics
from application.ports import Tokens
from domain.answer import Answer
from domain.failure import Failure
from tests.builders import LEASE, NOW, begun


async def test_a_restart_is_a_lost_attempt_and_another_one() -> None:
    metrics = Metrics()
    tasks = MeasuredTaskLog(MemoryTaskLog(Hub(), 60.0), metrics)
    attempt = await begun(tasks)
    await tasks.restart(attempt, attempt.task.restart(NOW, "upstream_1"), LEASE)
    counted = metrics.exposition().decode()
    assert 'longtask_attempts_lost_total{reason="continuation_lost"} 1.0' in counted
    assert "longtask_attempts_total 2.0" in counted


async def _ended(tasks: MeasuredTaskLog, answered: str) -> None:
    attempt = await begun(tasks)
    change = attempt.task.complete(
        NOW, answer=Answer(), finish_reason="stop", model=answered, usage=None
    )
    await tasks.commit(attempt, change)


async def test_tasks_are_counted_by_the_model_that_answered() -> None:
    metrics = Metrics()
    tasks = MeasuredTaskLog(MemoryTaskLog(Hub(), 60.0), metrics)
    await tasks.cancel((await begun(tasks)).task.id, NOW)
    await _ended(tasks, "m")
    await _ended(tasks, "m")
    await tasks.cancel((await begun(tasks)).task.id, NOW)
    counted = metrics.exposition().decode()
    assert 'longtask_model_tasks_total{model="other",status="cancelled"} 1.0' in counted
    assert 'longtask_model_tasks_total{model="m",status="completed"} 2.0' in counted
    assert 'longtask_model_tasks_total{model="m",status="cancelled"} 1.0' in counted


def test_tokens_of_all_attempts_are_counted_by_models_that_have_answered() -> None:
    metrics = Metrics()
    metrics.used(Tokens(7), "m", answered=False)
    metrics.used(Tokens(100, 40, 20, 5), "m", answered=True)
    metrics.used(Tokens(3, 0, 4), "m", answered=False)  # cut, or lost
    metrics.used(Tokens(0, 0, -4), "m", answered=True)  # less than an earlier one estimated
    counted = metrics.exposition().decode()
    for kind, tokens in (("input", 103), ("output", 24), ("cached", 40), ("reasoning", 5)):
        assert f'longtask_model_tokens_total{{kind="{kind}",model="m"}} {tokens}.0' in counted
    assert 'longtask_model_tokens_total{kind="input",model="other"} 7.0' in counted


async def test_no_more_than_fifty_models_are_told_apart() -> None:
    metrics = Metrics()
    tasks = MeasuredTaskLog(MemoryTaskLog(Hub(), 60.0), metrics)
    for number in range(60):
        await _ended(tasks, f"model-{number}")
    counted = metrics.exposition().decode()
    assert counted.count("longtask_model_tasks_total{") == 51
    assert 'longtask_model_tasks_total{model="other",status="completed"} 10.0' in counted


async def test_a_task_that_a_budget_cut_is_counted_apart() -> None:
    """Else a team that has used up its day would wake those who operate the service."""
    metrics = Metrics()
    tasks = MeasuredTaskLog(MemoryTaskLog(Hub(), 60.0), metrics)
    for code in ("budget_exceeded", "invalid_api_key"):
        attempt = await begun(tasks)
        await tasks.commit(attempt, attempt.task.fail(NOW, Failure(code, "No.", False)))
    counted = metrics.exposition().decode()
    assert 'longtask_tasks_total{status="failed"} 2.0' in counted
    assert "longtask_tasks_over_budget_total 1.0" in counted
