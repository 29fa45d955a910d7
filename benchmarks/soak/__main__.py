"""A long soak: a mixed load on one service, and what it holds meanwhile.

    python -m benchmarks.soak --store redis --seconds 3600 --json redis.json

Users of all faces start tasks whose model answers well, badly or not at all; they follow, hang up
and come again, come late, cancel, delete, retry and are told by webhooks (load.py). Every ten
seconds memory, descriptors, asyncio tasks, and keys or rows of the store are counted. Whether each
is flat is said of the second half: by then what has a bound is full, such as the keys by which
requests of SDKs are repeated.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop
from tests.faults.receiver import Receiver

from benchmarks.holdings import STORES, Holder, holder, look_at
from benchmarks.rig import service
from benchmarks.soak.load import SETTINGS, Load, Model
from benchmarks.soak.trend import trend

EVERY = 10.0
"""Seconds between two looks."""
SHORTEST = 60
"""Seconds of a soak."""
JUDGED = {
    "resident_kib": 1024,
    "descriptors": 5,
    "tasks": 10,
    "objects": 5_000,
    "objects_of_ours": 500,
    "kept": 100,
}
"""The figures that have to be flat, each with the least growth that counts."""
LASTING = ("tombstone", "idempotency", "usage", "dead_letters", "bodies")
"""What is kept for longer than a soak takes, on purpose: ids of deleted tasks for eight days, use
for ninety, messages that could not be delivered for one, with their bodies. Few of the load's
users make any."""


def kept(found: dict[str, Any]) -> int:
    """Return how many keys or rows of tasks there are."""
    return sum(
        value
        for name, value in found.items()
        if name.startswith("kept_") and not any(each in name for each in LASTING)
    )


class Samples:
    def __init__(self, store: str, file: Path) -> None:
        self._file = file
        self.samples: list[dict[str, Any]] = []
        self.result: dict[str, Any] = {"store": store, "samples": self.samples}
        self._ours: list[Counter[str]] = []
        """Objects of the service's own types, at each look."""

    def add(self, seconds: float, found: dict[str, Any]) -> None:
        ours = Counter(found.pop("ours"))
        self._ours.append(ours)
        kept_now = kept(found)
        found |= {"objects_of_ours": ours.total(), "kept": kept_now}
        self.samples.append({"seconds": round(seconds), **found})

    def write(self, load: Load) -> None:
        half = len(self._ours) // 2
        more = self._ours[-1] - self._ours[half]
        self.result |= {
            "done": load.done,
            "unexpected": load.odd,
            "more_objects_than_in_the_middle": dict(more.most_common(10)),
        }
        self._file.write_text(json.dumps(self.result, indent=1) + "\n")

    def judge(self) -> dict[str, str]:
        judged = self.samples[len(self.samples) // 2 :]
        moments = [each["seconds"] for each in judged]
        return {
            name: str(trend(moments, [each[name] for each in judged], least))
            for name, least in JUDGED.items()
        }


async def sample(holding: Holder, pid: int, samples: Samples, load: Load) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(EVERY)
        samples.add(time.monotonic() - began, await look_at(holding, pid))
        samples.write(load)


async def soak(given: argparse.Namespace, folder: Path) -> dict[str, str]:
    samples = Samples(given.store, given.json)
    model = Model()
    with model.running(), Receiver().running() as receiver, holder(given.store, folder) as holding:
        settings = {**SETTINGS, **holding.settings, "LONGTASK_WEBHOOK_SECRETS": receiver.secret}
        with service(model.url, *holding.under, **settings) as (address, pid):
            load = Load(address, receiver.url)
            sampling = asyncio.create_task(sample(holding, pid, samples, load))
            using = asyncio.create_task(load.use(given.seconds, given.rate))
            await asyncio.wait({sampling, using}, return_when=asyncio.FIRST_COMPLETED)
            if sampling.done():
                sampling.result()  # it ends only if a look failed
            await using
            sampling.cancel()
            samples.result["verdict"] = samples.judge()
            await asyncio.sleep(given.after)
            samples.result["after"] = await look_at(holding, pid, collected=True)
            samples.write(load)
    return samples.judge()


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--store", choices=STORES, default="memory")
    arguments.add_argument("--seconds", type=float, default=3600.0)
    arguments.add_argument("--rate", type=float, default=2.0, help="Users a second.")
    arguments.add_argument(
        "--after", type=float, default=200.0, help="Seconds of rest before the last look."
    )
    arguments.add_argument("--json", type=Path, default=Path("soak.json"), help="The samples.")
    given = arguments.parse_args()
    if given.seconds < SHORTEST:
        arguments.error(f"--seconds must be at least {SHORTEST}: a slope needs several looks")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # leave nothing running
    with TemporaryDirectory(prefix="longtask-soak-") as folder:
        for name, verdict in uvloop.run(soak(given, Path(folder))).items():
            print(f"{name:<20}{verdict}")


if __name__ == "__main__":
    main()
