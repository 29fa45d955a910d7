"""What the metrics count of the calls of the log."""

from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from adapters.prometheus import MeasuredTaskLog, Metrics
from tests.builders import LEASE, NOW, begun


async def test_a_restart_is_a_lost_attempt_and_another_one() -> None:
    metrics = Metrics()
    tasks = MeasuredTaskLog(MemoryTaskLog(Hub(), 60.0), metrics)
    attempt = await begun(tasks)
    await tasks.restart(attempt, attempt.task.restart(NOW, "upstream_1"), LEASE)
    counted = metrics.exposition().decode()
    assert 'longtask_attempts_lost_total{reason="continuation_lost"} 1.0' in counted
    assert "longtask_attempts_total 2.0" in counted
