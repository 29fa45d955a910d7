"""The simulation that docs/capacity.md plans by says what was measured (docs/performance.md, tables
C and D), and breaks where a process does."""

import pytest
from benchmarks.capacity.costs import COSTS
from benchmarks.capacity.machines import Demand, Impossible, load_of, plan
from benchmarks.capacity.simulation import Load, simulate

CPU, P50, P99 = 0.15, 0.3, 0.5
"""By which part of the measured figure the simulation may be wrong."""


@pytest.mark.parametrize(
    ("tasks", "cpu", "p50", "p99"),
    [(100, 3_000 / 5_280, 0.9, 2.2), (300, 9_000 / 9_480, 2.7, 50), (1_000, 1.0, 132, 239)],
)
def test_tasks_with_a_reader_each_are_as_late_as_measured(
    tasks: int, cpu: float, p50: float, p99: float
) -> None:
    found = simulate(Load(tasks, 30), 3.0)
    assert found.utilisation == pytest.approx(cpu, rel=CPU)
    assert found.p50 == pytest.approx(p50, rel=P50)
    assert found.p99 == pytest.approx(p99, rel=P99)
    assert not found.falls_behind


@pytest.mark.parametrize(
    ("readers", "us", "p50", "p99"),
    # At 5,000 the load was full: the model sent 41 tokens a second (table C).
    [(200, 15.9, 2.3, 4.1), (1_000, 4.2, 44, 111), (2_000, 2.2, 73, 145), (5_000, 1.9, 109, 215)],
)
def test_many_readers_cost_what_was_measured(
    readers: int, us: float, p50: float, p99: float
) -> None:
    found = simulate(Load(1, 41 if readers == 5_000 else 50, readers))
    assert 1e6 * found.utilisation / (found.tokens_per_second * readers) == pytest.approx(
        us, rel=0.2
    )
    assert found.p50 == pytest.approx(p50, rel=P50)
    if readers > 200:  # there every token is alone, and nothing in here is at random
        assert found.p99 == pytest.approx(p99, rel=P99)


def test_a_full_process_carries_more_in_a_step_and_is_late() -> None:
    easy, full = simulate(Load(100, 30), 2.0), simulate(Load(1_000, 30), 2.0)
    assert easy.tokens_per_append == 1
    assert full.tokens_per_append > 2
    assert full.tokens_per_cpu_second > 4 * easy.tokens_per_cpu_second


def test_it_breaks_where_the_tokens_alone_fill_a_core() -> None:
    """Batching saves everything but the cost of each token: beyond a million / 2.7 of them a second
    nothing helps."""
    most = 1e6 / COSTS.token
    assert simulate(Load(20, 1.2 * most / 20), 0.3).falls_behind
    assert not simulate(Load(20, 0.8 * most / 20), 0.3).falls_behind


def test_starts_take_their_part_of_the_process() -> None:
    alone, beside = simulate(Load(50, 30), 2.0), simulate(Load(50, 30, starts=100), 2.0)
    both = 1e-6 * 100 * (COSTS.start + COSTS.delivery)
    assert beside.utilisation - alone.utilisation == pytest.approx(both, rel=0.05)


def test_readers_anywhere_need_more_processes_than_readers_by_task() -> None:
    demand = Demand(readers=100_000, tasks=100)
    assert plan(demand, by_task=False).processes > 2 * plan(demand).processes


def test_every_reader_is_on_a_process() -> None:
    demand = Demand(readers=10_000_000, tasks=100)
    for by_task in (True, False):
        load = load_of(demand, 2_000, by_task)
        assert load.followed * load.followed_readers == pytest.approx(5_000, rel=0.05)


def test_a_small_deployment_needs_one_redis_and_no_more_than_a_few_processes() -> None:
    found = plan(Demand(readers=1_000, tasks=100))
    assert found.processes <= 3
    assert found.redis_servers == 1
    assert found.messages_per_day == pytest.approx(3 * 86_400)


def test_a_task_that_no_process_carries_is_refused() -> None:
    with pytest.raises(Impossible):
        plan(Demand(readers=2, tasks=2, rate=1e6))
