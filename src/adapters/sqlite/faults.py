"""What the database raises, as the store's exceptions."""

from adapters.database import DatabaseUnavailable
from application.errors import StoreUnavailable


def unavailable(error: DatabaseUnavailable) -> StoreUnavailable:
    """Return what the store raises instead."""
    return StoreUnavailable("the data file cannot be used now", str(error))
