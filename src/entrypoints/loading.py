"""Loading modules in less time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Look for no cycles while modules are loaded and objects are made that stay, and never among
    these: to walk through all of them again and again takes an eighth of a start of `longtask
    serve` (docs/performance.md)."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
