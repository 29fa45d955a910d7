"""One process as a single server: an event loop that takes turns, and Redis beside it.

In a turn the loop reads all that has arrived of every model whose last append is done, and appends
it; and it hands on what Redis has published since the last turn. So the later a turn begins, the
more it carries, and the less each token costs: a process that is full is late, but goes on. A
channel with many readers pauses after a delivery in proportion to its length, and what comes
meanwhile goes out in one write to each.

Latencies are from the model's write to the reader's, by the time at which the process writes.
Nothing in here is random: tokens of all tasks come evenly spread, as in case D.
"""

import heapq
import statistics
from collections import deque
from dataclasses import dataclass, field, fields

from benchmarks.capacity.costs import COSTS, LONGEST_PAUSE, PAUSE_FACTOR, Costs

SLOTS = 20
"""Streams send their tokens at this many different moments, as the model of the benchmarks does."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one process has to do."""

    tasks: int
    rate: float
    """Tokens per second of each task."""
    readers: float = 1.0
    """Readers of each task on this process."""
    followed: int = 0
    """Tasks of other processes that have readers on this one."""
    followed_readers: float = 1.0
    """Readers of each of them on this process."""
    starts: float = 0.0
    """Tasks that begin and end per second: a start, a delivery and an end each."""
    replayed: float = 0.0
    """Events per second that readers catch up with."""


@dataclass(frozen=True, slots=True)
class Outcome:
    utilisation: float
    redis_utilisation: float
    tokens_per_second: float
    tokens_per_append: float
    p50: float
    """Milliseconds."""
    p99: float
    falls_behind: bool
    """Whether tokens wait longer and longer."""

    @property
    def tokens_per_cpu_second(self) -> float:
        return self.tokens_per_second / self.utilisation


@dataclass(slots=True)
class _Task:
    first: float
    """When its first token comes."""
    read: int = 0
    """Tokens that were read."""
    waiting: list[tuple[int, int]] = field(default_factory=list)
    """Ranges of tokens that its channel has not delivered yet."""
    paused_until: float = 0.0


class Process:
    def __init__(self, load: Load, costs: Costs = COSTS) -> None:
        self._load, self._costs = load, costs
        gap = 1 / load.rate
        self._tasks = [_Task(gap * (n % SLOTS) / SLOTS) for n in range(load.tasks + load.followed)]
        self._now = 0.0
        self._chores_at = 1.0
        others = load.starts * (costs.start + costs.delivery) + load.replayed * costs.replayed
        self._others = 1e-6 * others
        """The part of a core that starts, deliveries and replays take."""
        self._others_at = 0.0
        """Up to when that is done."""
        self._redis_free = 0.0
        self._redis_busy = 0.0
        self._idle = [(task.first, n) for n, task in enumerate(self._tasks)]
        """By their next tokens, the tasks whose last append is done."""
        heapq.heapify(self._idle)
        self._answers: deque[tuple[float, int, int]] = deque()
        """Appends under way: when Redis answers, the task, the first token."""
        self._paused: list[tuple[float, int]] = []
        self._appends = self._appended = 0
        self._delivered: list[tuple[float, float, int]] = []
        """When tokens went out, how late the first was, and how many they were."""

    def run(self, seconds: float, warm: float = 2.0) -> Outcome:
        """Return what happens in so many seconds after the warm ones."""
        while self._now < warm:
            self._turn(warm)
        began, busy = self._now, 0.0
        appends, appended, redis = self._appends, self._appended, self._redis_busy
        self._delivered.clear()
        while self._now < began + seconds:
            busy += self._turn(began + seconds)
        took = self._now - began
        late = [
            each for _, first, count in self._delivered for each in self._lateness(first, count)
        ]
        if len(late) < 2:  # a turn lasts longer than this run
            return Outcome(1.0, 0.0, 0.0, 1.0, 1e3 * took, 1e3 * took, True)
        half = began + took / 2
        early = [first for at, first, _ in self._delivered if at < half]
        later = [first for at, first, _ in self._delivered if at >= half]
        cuts = statistics.quantiles(late, n=100)
        return Outcome(
            utilisation=busy / took,
            redis_utilisation=(self._redis_busy - redis) / took,
            tokens_per_second=len(late) / took,
            tokens_per_append=(self._appended - appended) / max(1, self._appends - appends),
            p50=1e3 * cuts[49],
            p99=1e3 * cuts[98],
            falls_behind=not (early and later)
            or statistics.mean(later) > 1.25 * statistics.mean(early) + 0.02,
        )

    def _lateness(self, first: float, count: int) -> list[float]:
        return [first - n / self._load.rate for n in range(count)]

    def _turn(self, until: float) -> float:
        """Do what is ready, or wait for what comes next. Return the seconds of CPU."""
        began = self._now
        if not self._ready():
            self._now = min(until, max(began, self._next()))
            return 0.0
        self._now += 1e-6 * self._costs.turn + (began - self._others_at) * self._others
        self._others_at = began
        if self._chores_at <= began:
            self._now += 1e-6 * self._costs.chores * self._load.tasks
            self._chores_at += 1.0
        self._hand_on(began)
        self._end_pauses(began)
        self._read(began)
        return self._now - began

    def _next(self) -> float:
        first = [heap[0][0] for heap in (self._idle, self._answers, self._paused) if heap]
        return min(self._chores_at, *first)

    def _ready(self) -> bool:
        return self._next() <= self._now

    def _hand_on(self, began: float) -> None:
        gap = 1 / self._load.rate
        while self._answers and self._answers[0][0] <= began:
            _, n, first = self._answers.popleft()
            task = self._tasks[n]
            heapq.heappush(self._idle, (task.first + task.read * gap, n))
            self._now += 1e-6 * self._costs.publish
            if not task.waiting and task.paused_until > began:
                heapq.heappush(self._paused, (task.paused_until, n))
            task.waiting.append((first, task.read - first))
            if task.paused_until <= began:
                self._deliver(n)

    def _end_pauses(self, began: float) -> None:
        while self._paused and self._paused[0][0] <= began:
            n = heapq.heappop(self._paused)[1]
            if self._tasks[n].waiting:
                self._deliver(n)

    def _deliver(self, n: int) -> None:
        task, load = self._tasks[n], self._load
        count = sum(each for _, each in task.waiting)
        readers = load.readers if n < load.tasks else load.followed_readers
        further = max(0.0, readers - 1)
        began = self._now
        self._now += 1e-6 * further * (self._costs.write + self._costs.event * count)
        middle = (began + self._now) / 2
        first = task.first + task.waiting[0][0] / self._load.rate
        self._delivered.append((self._now, middle - first, count))
        task.waiting.clear()
        task.paused_until = self._now + min(LONGEST_PAUSE, PAUSE_FACTOR * (self._now - began))

    def _read(self, began: float) -> None:
        gap, sent = 1 / self._load.rate, []
        while self._idle and self._idle[0][0] <= began:
            _, n = heapq.heappop(self._idle)
            task, first = self._tasks[n], self._tasks[n].read
            task.read = int((began - task.first) / gap + 1e-9) + 1
            count = max(1, task.read - first)
            task.read = first + count
            if n >= self._load.tasks:
                # Another process has appended each of them; the last is handed on with the answers.
                self._now += 1e-6 * self._costs.publish * (count - 1)
                self._answers.append((self._now, n, first))
                continue
            self._now += 1e-6 * (self._costs.read + self._costs.token * count)
            sent.append((n, first, count))
        for n, first, count in sent:
            work = 1e-6 * (self._costs.redis_append + self._costs.redis_event * (count - 1))
            self._redis_free = max(self._redis_free, self._now) + work
            self._redis_busy += work
            self._appends += 1
            self._appended += count
            self._answers.append((self._redis_free + 1e-6 * self._costs.redis_trip, n, first))


def simulate(
    load: Load, seconds: float = 6.0, costs: Costs = COSTS, slower: float = 1.0
) -> Outcome:
    """Return what becomes of a load. `slower`: by which factor this machine's CPU times are more
    than those of `costs`."""
    scaled = Costs(**{each.name: getattr(costs, each.name) * slower for each in fields(costs)})
    return Process(load, scaled).run(seconds)
