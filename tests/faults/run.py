"""Break a whole deployment at random and see whether its promises hold.

    python -m tests.faults.run --seconds 1800 [--store file] [--seed 7]

A run is a series of rounds, each on a world of its own and with a seed of its own, which is
printed: `--seed` with that number and `--rounds 1` does the same again, as far as processes and
networks can. In every third round Redis may lose what it wrote last, in every sixth all its data,
and in every fifth QStash may. With `--store file` it is the embedded default: in every third round
the file may lose what was written last, and in every fifth the machine sleeps beyond the orphan
timeout.
"""

import argparse
import asyncio
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from tests.faults.chaos import Chaos
from tests.faults.clients import Follower, User
from tests.faults.file_chaos import FileChaos
from tests.faults.file_world import FileWorld
from tests.faults.keeping import KeepingModel
from tests.faults.observers import Observers
from tests.faults.planned import PlannedModel
from tests.faults.prefilling import PrefillingModel
from tests.faults.redis_chaos import RedisChaos
from tests.faults.redis_world import RedisWorld
from tests.faults.response_clients import ResponseFollower, whole_stream
from tests.faults.verdict import TERMINAL, leftovers, read, violations
from tests.faults.webhooks import webhook_faults
from tests.faults.world import ORPHAN_TIMEOUT, World
from tests.running import Client, Seen

ROUND = 45.0
"""Seconds of chaos in a round."""
QUIET = ORPHAN_TIMEOUT + 60.0
"""Seconds that a healed world gets to bring every task to its end."""
LOSSES = {2: "end", 4: "end", 5: "all"}
"""What Redis may lose in a round, by the remainder of its seed."""
TASKS_PER_SECOND = 2.5
TASKS_AT_ONCE = 20


@dataclass
class Totals:
    rounds: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    followers: int = 0
    connections: int = 0
    events: int = 0
    attempts: int = 0
    walks: int = 0
    watches: int = 0
    told: int = 0
    webhooks: int = 0
    violations: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        kinds = [f"  {name}: {count}" for name, count in self.faults.most_common()]
        ends = ", ".join(f"{count} {name}" for name, count in self.tasks.most_common())
        return [
            f"{self.rounds} rounds, {self.tasks.total()} tasks ({ends}), {self.attempts} attempts",
            "models: " + ", ".join(f"{name} {count}" for name, count in self.models.items()),
            f"{self.followers} followers in {self.connections} connections, {self.events} events",
            f"{self.walks} walks through lists, {self.told} changes told to watchers in "
            f"{self.watches} connections",
            f"{self.webhooks} webhooks received",
            f"{self.faults.total()} faults",
            *kinds,
            f"{len(self.violations)} violations",
            *(each[:1_000] for each in self.violations[:20]),
        ]


def _redis(folder: Path, seed: int, users: list[User], model: PlannedModel) -> Chaos:
    world = RedisWorld(folder, random.Random(seed), model)
    return RedisChaos(world, users, losing=LOSSES.get(seed % 6, ""), forgetful=seed % 5 == 4)


def _file(folder: Path, seed: int, users: list[User], model: PlannedModel) -> Chaos:
    world = FileWorld(folder, random.Random(seed), model)
    return FileChaos(world, users, losing=seed % 3 == 2, sleepy=seed % 5 == 4)


STORES = {"redis": _redis, "file": _file}
"""What is broken, and how, by where tasks are kept."""
MODELS = {"chat": PlannedModel, "keeping": KeepingModel, "prefilling": PrefillingModel}
"""The model's servers. The seed of a round chooses one."""


def _model(seed: int) -> str:
    return random.Random(f"model {seed}").choice(list(MODELS))


async def _use(world: World, users: list[User], seconds: float) -> list[asyncio.Task[None]]:
    """Tasks started at random moments, for so long."""
    using: list[asyncio.Task[None]] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if sum(not each.done() for each in using) < TASKS_AT_ONCE:
            user = User(world, f"t{len(users)}", (Follower, ResponseFollower))
            users.append(user)
            using.append(asyncio.create_task(user.use()))
        await asyncio.sleep(world.rng.expovariate(TASKS_PER_SECOND))
    return using


async def _round(
    folder: Path, store: str, model: str, seed: int, seconds: float, totals: Totals
) -> None:
    users: list[User] = []
    chaos = STORES[store](folder, seed, users, MODELS[model]())
    world = chaos.world
    observers = Observers(world, users)
    with world.running():
        observers.start()
        reigning = asyncio.create_task(chaos.reign(seconds))
        using = await _use(world, users, seconds)
        await reigning
        await asyncio.to_thread(world.heal)
        _, waiting = await asyncio.wait(using, timeout=QUIET)
        for each in waiting:
            each.cancel()
        for each in using:
            if each.done() and not each.cancelled() and each.exception() is not None:
                totals.violations.append(f"seed {seed}: a client broke: {each.exception()!r}")
        world.given_up |= await asyncio.to_thread(world.ask_given_up)
        records: dict[str, dict[str, Any]] = {}
        found = chaos.faults + await asyncio.to_thread(_judge, world, users, totals, records)
        found += await observers.judged(records)
        for program in world.instances:
            if (status := await asyncio.to_thread(program.stop)) != 0:
                found.append(f"{program.name} stopped with {status}")
        found += world.receiver.faults + world.complaints()
    totals.rounds += 1
    totals.webhooks += sum(map(len, world.receiver.told.values()))
    totals.walks += observers.walks
    totals.watches += observers.connections
    totals.told += observers.told
    totals.faults += chaos.counts
    totals.violations += [f"seed {seed}: {fault}" for fault in found]


def _judge(
    world: World, users: list[User], totals: Totals, records: dict[str, dict[str, Any]]
) -> list[str]:
    """Return what is wrong with the task of each user, and add what is there to the records."""
    until = time.monotonic() + QUIET
    found = []
    with Client(world.front.url) as client:
        for user in users:
            if not user.task_id:
                found.append(f"{user.plan.name}: never accepted; {user.faults}")
                continue
            record, late = read(client, user.task_id, max(0.0, until - time.monotonic()))
            if record is not None:
                records[user.task_id] = record
            ended = late.logged and record is not None
            response = whole_stream(client, user.task_id) if ended else None
            found += violations(world, user, record, late, response)
            told = webhook_faults(client, world, user, record, until)
            told += leftovers(client, world, user, record, late, until)
            found += [f"{user.task_id} ({user.plan.name}): {fault}" for fault in told]
            deleted = record is None and user.task_id in world.deleted
            totals.tasks["deleted" if deleted else _end(record, late)] += 1
            totals.attempts += 0 if record is None else record["attempt"]
            totals.followers += len(user.followers)
            totals.connections += sum(each.connections for each in user.followers)
            totals.events += sum(len(each.events) for each in user.followers)
    return found


def _end(record: dict[str, Any] | None, late: Seen) -> str:
    if record is None:
        return "lost with its data"
    if record["status"] not in TERMINAL:
        return "not ended"
    code = late.logged[-1].data.get("code") if late.logged else None
    return str(record["status"]) if code is None else f"failed as {code}"


def run(
    folder: Path,
    store: str,
    seed: int,
    seconds: float,
    rounds: int | None = None,
    model: str | None = None,
) -> Totals:
    """Rounds for so many seconds, or so many of them; each leaves its logs in a folder of its own.
    Ends after the first round that finds something. `model`: the model's server; None: by seed."""
    totals = Totals()
    until = time.monotonic() + seconds
    while totals.rounds != rounds and not totals.violations:
        left = until - time.monotonic()
        if totals.rounds and left < ROUND / 3:
            break
        logs = folder / f"seed-{seed}"
        logs.mkdir(parents=True)
        asked = model or _model(seed)
        totals.models[asked] += 1
        asyncio.run(_round(logs, store, asked, seed, min(ROUND, left), totals))
        print(f"seed {seed} ({asked}): {totals.lines()[0]}", file=sys.stderr, flush=True)
        seed += 1
    return totals


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--store", choices=STORES, default="redis")
    arguments.add_argument("--model", choices=MODELS)
    arguments.add_argument("--seconds", type=float, default=300.0)
    arguments.add_argument("--rounds", type=int)
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # leave nothing running
    folder = Path(mkdtemp(prefix="longtask-faults-"))
    totals = run(folder, given.store, given.seed, given.seconds, given.rounds, given.model)
    print("\n".join(totals.lines()))
    if totals.violations:
        sys.exit(f"The logs are in {folder}.")
    rmtree(folder)


if __name__ == "__main__":
    main()
