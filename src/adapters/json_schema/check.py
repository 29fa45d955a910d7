"""The program of a check process: it reads a schema and a text, and writes whether they fit.

`process.py` starts it by its path, so it imports nothing of this service. The schema comes from a
client and the text from a model; both may be hostile. The library keeps Python's global lock during
a check, some schemas take exponential time, and recursion in native code can overflow the stack.
So the check is made here, where it can be killed.

jsonschema-rs was chosen over jsonschema because its regular expressions take linear time, and
because it needs no other package (jsonschema needs rpds-py, which is a native module as well).
"""

import json
import os
import signal
import struct
import sys
from decimal import Decimal
from typing import Any

SIZES = struct.Struct(">II")
"""Begins a question: the bytes of the schema and of the text, which follow."""
READY = b"r"
FITS, DOES_NOT_FIT, UNKNOWN = b"1", b"0", b"?"

DEPTH = 200
"""Levels of objects and arrays, in a schema as in a text. The library itself refuses schemas of
more than about 250 levels."""
PATTERN_SIZE = 10 * 1024 * 1024
"""Bytes that a regular expression may need in compiled form; also the library's default."""
MEMORY = 1024**3
"""Bytes of address space of this process, where the system can bound them."""
NICENESS = 5
"""Checks give way to the streams where processors are busy."""


class _TooDeep(Exception):
    pass


def verdict(schema: bytes, text: bytes) -> bool | None:
    """Return whether the text is JSON and fits the schema, or None if that cannot be told. Of a
    repeated name in an object the last value counts. Formats (`date`, `email`) are not checked, as
    the specification has it by default."""
    import jsonschema_rs  # noqa: PLC0415  (the service imports this module, and does not need it)

    try:
        answer = _decode(text)
    except json.JSONDecodeError:
        return False
    except Exception:  # a number of thousands of digits, deep nesting
        return None
    try:
        return jsonschema_rs.validator_for(
            _decode(schema),
            offline=True,  # references out of the schema are never followed
            pattern_options=jsonschema_rs.RegexOptions(size_limit=PATTERN_SIZE),
            validate_formats=False,
        ).is_valid(answer)
    except Exception:  # no valid schema, or one beyond the bounds; text that is no Unicode
        return None


def _decode(data: bytes) -> Any:
    value = json.loads(data.decode(), parse_float=Decimal, parse_constant=_refuse)
    level = [value]
    for _ in range(DEPTH + 1):
        nests = [each for each in level if isinstance(each, dict | list)]
        if not nests:
            return value
        level = [
            child for each in nests for child in (each.values() if isinstance(each, dict) else each)
        ]
    raise _TooDeep


def _refuse(constant: str) -> None:
    raise json.JSONDecodeError("not a number of JSON", constant, 0)


def main(cpu_limit: float) -> None:
    """Answer questions until the input ends. A check that takes more than `cpu_limit` seconds of a
    processor ends the process, also when its parent has died."""
    _bound_this_process()
    verdict(b"true", b"null")  # loads the library
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(READY)
    answers.flush()
    while len(sizes := questions.read(SIZES.size)) == SIZES.size:
        schema_size, text_size = SIZES.unpack(sizes)
        schema, text = questions.read(schema_size), questions.read(text_size)
        if len(text) < text_size:
            return
        _limit_cpu(cpu_limit)
        fits = verdict(schema, text)
        _limit_cpu(0)
        answers.write(UNKNOWN if fits is None else FITS if fits else DOES_NOT_FIT)
        answers.flush()


def _bound_this_process() -> None:
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  (not on Windows)

    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no prompts on the disk
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY or most > MEMORY:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, most))


def _limit_cpu(seconds: float) -> None:
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)  # no handler: SIGPROF ends the process


if __name__ == "__main__":
    main(float(sys.argv[1]))
