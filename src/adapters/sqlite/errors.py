"""What the store raises for faults of the file."""

import contextlib
from collections.abc import Iterator

from adapters.database import DatabaseUnavailable
from application.errors import StoreUnavailable


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Raise DatabaseUnavailable as StoreUnavailable."""
    try:
        yield
    except DatabaseUnavailable as error:
        raise StoreUnavailable("the data file cannot be used", str(error)) from error
