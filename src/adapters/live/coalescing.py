"""Write coalescing: join batches, so that a reader gets their events in one write."""

from collections.abc import Sequence

from application.ports import Batch

JOINED_LIMIT = 64 * 1024
"""Characters of text up to which batches are joined. Longer writes gain nothing."""


def joined(batches: Sequence[Batch]) -> Sequence[Batch]:
    """Return the same events in as few batches as possible. A joined batch has at most JOINED_LIMIT
    characters."""
    if len(batches) == 1:
        return batches
    result: list[Batch] = []
    run: list[Batch] = []
    size = 0
    for batch in batches:
        size += batch.size
        if run and (size > JOINED_LIMIT or not _follows(run[-1], batch)):
            result.append(_one(run))
            run, size = [], batch.size
        run.append(batch)
    if run:
        result.append(_one(run))
    return result


def _follows(last: Batch, batch: Batch) -> bool:
    return batch.after == last.end and batch.end.epoch == last.end.epoch


def _one(run: Sequence[Batch]) -> Batch:
    if len(run) == 1:
        return run[0]
    events = tuple(event for batch in run for event in batch.events)
    return Batch(run[0].after, run[0].end.epoch, events)
