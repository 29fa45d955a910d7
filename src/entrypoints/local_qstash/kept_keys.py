"""The token and signing keys that stay in the file with the messages. What was published or signed
before a restart is good behind it, too."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from adapters.database import Database, Transaction

Keys = tuple[str, str, str]
"""The token, the current signing key and the next one."""


def kept_keys(database: Database, fresh: Keys) -> Keys:
    """Return the keys that are in the file. If it has none, `fresh` are put there and returned.
    Blocks for some milliseconds; may be called in any thread but those of the database. Raises
    DatabaseUnavailable."""

    def work(tx: Transaction) -> Keys:
        kept = tx.execute("SELECT token, current_key, next_key FROM keys").fetchone()
        if kept is not None:
            token, current_key, next_key = kept
            return token, current_key, next_key
        tx.execute("INSERT INTO keys (token, current_key, next_key) VALUES (?, ?, ?)", fresh)
        return fresh

    async def write() -> Keys:
        return await database.write(work)

    # In a thread of its own: the caller may have an event loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(write())).result()
