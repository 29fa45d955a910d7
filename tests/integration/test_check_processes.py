"""Hostile schemas and texts cost a process at most: they hold up neither the event loop nor other
checks, whatever becomes of the processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs

from adapters.json_schema import JsonSchemaChecker, process
from tests.builders import schema_format
from tests.waiting import eventually, until, within


def _references(keyword: str, levels: int) -> dict[str, Any]:
    """Each level refers to the one below it twice."""
    above = {
        f"l{level}": {keyword: [{"$ref": f"#/$defs/l{level - 1}"}] * 2}
        for level in range(1, levels)
    }
    return {"$ref": f"#/$defs/l{levels - 1}", "$defs": {"l0": {"type": "integer"}, **above}}


def _unevaluated() -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for level in range(40):
        schema = {
            "$defs": {"d": schema},
            "anyOf": [{"$ref": f"#{'/$defs/d' * (level + 1)}"}] * 2,
        }
    return schema


ENDLESS = schema_format(_references("allOf", 60)), "1"
HOSTILE = {
    "allOf": ENDLESS,
    "anyOf": (schema_format(_references("anyOf", 60)), '"a"'),
    "oneOf": (schema_format(_references("oneOf", 60)), "1"),
}
GOOD = schema_format({"type": "integer"}), "1"


@asynccontextmanager
async def _checker(**given: Any) -> AsyncIterator[JsonSchemaChecker]:
    opened = JsonSchemaChecker(**{"time_limit": within(20), "wait": within(20), **given})
    try:
        yield opened
    finally:
        await opened.aclose()
    assert _processes() == []


def _processes(parent: int = 0) -> list[int]:
    """The check processes of a process, by default of this one."""
    parent, found = parent or os.getpid(), []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{entry}/cmdline").read_text()
            status = Path(f"/proc/{entry}/status").read_text()
        except OSError:
            continue  # ended in the meantime
        if str(process.PROGRAM) in command and f"\nPPid:\t{parent}\n" in status:
            found.append(int(entry))
    return found


@asynccontextmanager
async def _under_way(
    checking: JsonSchemaChecker,
) -> AsyncIterator[tuple["asyncio.Task[bool | None]", int]]:
    """A check that lasts, and its process."""
    assert await checking.fits(*GOOD) is True
    running = _processes()[0]
    used = _cpu_ticks(running)
    check = asyncio.create_task(checking.fits(*ENDLESS))
    await until(lambda: _cpu_ticks(running) > used + 2)
    yield check, running


def _cpu_ticks(running: int) -> int:
    return int(Path(f"/proc/{running}/stat").read_text().rpartition(")")[2].split()[11])


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_check_that_takes_too_long_ends(name: str) -> None:
    async with _checker(cpu_limit=0.2, time_limit=3600.0) as checking:
        with capture_logs() as lines:
            async with asyncio.timeout(within(20)):
                assert await checking.fits(*HOSTILE[name]) is None
        assert [line["reason"] for line in lines] == ["it took too long"]
        assert await checking.fits(*GOOD) is True


async def test_a_check_that_takes_long_holds_up_nothing() -> None:
    """Neither the event loop, in which this runs, nor another check."""
    async with _checker(cpu_limit=60.0) as checking, _under_way(checking) as (check, _):
        for _ in range(50):
            assert await checking.fits(*GOOD) is True
        assert not check.done()


async def test_what_looks_costly_is_told_in_time() -> None:
    many: Any = list(range(100_000))
    cases: list[tuple[Any, str, bool]] = [
        ({"$ref": "#"}, "{}", True),
        ({"allOf": [{"$ref": "#"}]}, "1", True),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}}, "1", True),
        ({"pattern": "^(a+)+$"}, json.dumps("a" * 100_000 + "b"), False),
        ({"pattern": "^(a|aa)*$"}, json.dumps("a" * 100_000 + "b"), False),
        ({"pattern": "(.*)*x(.*)*y"}, json.dumps("x" * 100_000), False),
        ({"patternProperties": {"^(a+)+$": False}}, json.dumps({"a" * 9_999 + "b": 1}), True),
        ({"uniqueItems": True}, json.dumps(many), True),
        ({"uniqueItems": True}, json.dumps([{"a": each} for each in many[:20_000]]), True),
        ({"enum": many[:20_000]}, json.dumps(many), False),
        ({"multipleOf": 1e-300}, "1e300", True),
        ({"multipleOf": 3}, "9" * 4_000, True),
        (_unevaluated(), "{}", True),
    ]
    async with _checker() as checking:
        told = [await checking.fits(schema_format(schema), text) for schema, text, _ in cases]
    assert told == [fits for _, _, fits in cases]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_process_that_crashes_is_replaced(number: signal.Signals) -> None:
    """As a stack overflow in native code ends it, during a check and between two."""
    async with _checker(cpu_limit=60.0) as checking:
        with capture_logs() as lines:
            async with _under_way(checking) as (check, running):
                os.kill(running, number)
                assert await check is None
        assert [line["reason"] for line in lines] == [f"the process ended ({number.name})"]
        assert await checking.fits(*GOOD) is True
        os.kill(_processes()[0], number)
        await until(lambda: not checking._idle[0].running)
        assert await checking.fits(*GOOD) is True


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_process_that_dies_as_it_is_asked_raises_nothing(run: Any) -> None:
    """In neither of the event loops, whose pipes differ."""

    async def kill_and_ask() -> None:
        async with _checker() as checking:
            for turns in range(10):
                assert await checking.fits(*GOOD) is True
                os.kill(_processes()[0], signal.SIGKILL)
                for _ in range(turns):
                    await asyncio.sleep(0)
                await until(lambda: checking.fits(*GOOD))

    run(kill_and_ask())


async def test_a_cancelled_check_ends_its_process() -> None:
    async with _checker(cpu_limit=60.0) as checking:
        async with _under_way(checking) as (check, _):
            check.cancel()
            with pytest.raises(asyncio.CancelledError):
                await check
        await until(lambda: not _processes())
        assert await checking.fits(*GOOD) is True


async def test_checks_at_the_same_time_are_bounded() -> None:
    async with _checker(processes=2) as checking:
        answers = await asyncio.gather(*(checking.fits(*GOOD) for _ in range(50)))
        assert answers == [True] * 50
        assert len(_processes()) == 2


async def test_one_that_finds_no_free_process_waits_for_some_time() -> None:
    given = {"processes": 1, "cpu_limit": 60.0}
    async with _checker(**given, wait=0.05) as checking, _under_way(checking):
        with capture_logs() as lines:
            assert await checking.fits(*GOOD) is None
        assert [line["reason"] for line in lines] == ["too many checks are under way"]
    async with _checker(**given) as checking, _under_way(checking) as (check, _):
        waiting = asyncio.create_task(checking.fits(*GOOD))
        check.cancel()
        assert await waiting is True


async def test_a_check_that_gets_no_processor_ends_too() -> None:
    async with _checker(cpu_limit=60.0, time_limit=1.0) as checking:
        assert await checking.fits(*ENDLESS) is None


async def test_nothing_is_checked_once_it_is_closed() -> None:
    async with _checker(cpu_limit=60.0) as checking, _under_way(checking) as (check, _):
        with capture_logs() as lines:
            await checking.aclose()
            assert await check is None
            assert await checking.fits(*GOOD) is None
        assert lines == []


async def test_one_that_is_closed_as_it_starts_keeps_no_process() -> None:
    async with _checker() as checking:
        check = asyncio.create_task(checking.fits(*GOOD))
        await asyncio.sleep(0)
        await checking.aclose()
        assert await check is None
        await until(lambda: not _processes())


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("PROGRAM", Path("/nowhere.py"), "the process did not start"),
        ("sys.executable", "/nowhere/python", "[Errno 2] No such file or directory"),
    ],
)
async def test_without_a_process_nothing_is_checked(
    monkeypatch: pytest.MonkeyPatch, place: str, value: object, reason: str
) -> None:
    monkeypatch.setattr(f"adapters.json_schema.process.{place}", value)
    async with _checker() as checking:
        with capture_logs() as lines:
            assert await checking.fits(*GOOD) is None
        assert lines[0]["reason"].startswith(reason)


async def test_a_process_is_bounded_and_leaves_no_core_file() -> None:
    async with _checker() as checking:
        assert await checking.fits(*GOOD) is True
        proc = Path(f"/proc/{_processes()[0]}")
        limits = proc.joinpath("limits").read_text()
        assert limits.partition("Max core file size")[2].split()[0] == "0"
        assert limits.partition("Max address space")[2].split()[0] == str(1024**3)
        assert int(proc.joinpath("stat").read_text().rpartition(")")[2].split()[16]) >= 5  # nice
        files = {os.readlink(each) for each in proc.joinpath("fd").iterdir()}
        assert not [each for each in files if not each.startswith(("pipe:", "/dev/null"))]


STARTED = 0.4 * os.sysconf("SC_CLK_TCK")
"""Clock ticks after which a process is checking: it starts in less, and may check for a second."""
PARENT = """
import asyncio, json, sys
from adapters.json_schema import JsonSchemaChecker
print("loaded" if "jsonschema_rs" in sys.modules else "not loaded", flush=True)
asyncio.run(JsonSchemaChecker(cpu_limit=1.0).fits(json.loads(sys.argv[1]), "1"))
"""


@pytest.mark.soak
def test_a_process_outlives_no_parent_and_the_parent_loads_no_library() -> None:
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", PARENT, json.dumps(ENDLESS[0])], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "not loaded\n"
        child = eventually(lambda: _processes(parent.pid))[0]
        eventually(lambda: _cpu_ticks(child) > STARTED)
        parent.kill()
        parent.wait(within(10))
    eventually(lambda: not Path(f"/proc/{child}").exists())
