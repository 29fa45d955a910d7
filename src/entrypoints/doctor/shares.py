"""Can the owners run as many tasks as their shares say, so that none waits for another?"""

from collections.abc import Iterator

from adapters.qstash import QStashQueue
from application.errors import QueueRefused, QueueUnavailable
from entrypoints.descriptors import deliveries_at_once
from entrypoints.doctor.findings import Finding, Findings, ok, warn
from entrypoints.settings import Settings
from entrypoints.settings.owner_names import unknown_owners


async def check_shares(settings: Settings, queue: QStashQueue) -> Findings:
    shares = settings.access.shares
    for setting, owners in unknown_owners(settings).items():
        yield warn(
            "access",
            f"{setting} names keys that there are none of: {', '.join(owners)}",
            "correct the names, or make the keys with `longtask key new NAME`",
        )
    for finding in _beyond_limits(settings):
        yield finding
    limits = [share.parallelism for _, share in shares.all() if share.parallelism is not None]
    if not limits:
        return
    if settings.queue.embedded:
        most = deliveries_at_once(settings)
        advice = "raise LONGTASK_MAX_CONCURRENT_DELIVERIES, or lower LONGTASK_SHARES"
        yield _compared("this service handles", most, sum(limits), advice)
        return
    try:
        known = await queue.parallelism()
    except (QueueRefused, QueueUnavailable):  # the check of the queue tells; or it cannot say
        return
    if known is not None:
        advice = "take a plan of QStash with more parallelism, or lower LONGTASK_SHARES"
        yield _compared("your plan of QStash has", known, sum(limits), advice)


def _beyond_limits(settings: Settings) -> Iterator[Finding]:
    """A limit of `running` counts what waits for the share, too, and refuses the rest."""
    access, own = settings.access, settings.access.limits_of_owners
    for owner, share in access.shares.all():
        limit = own.get(owner, access.limits).running
        if share.parallelism is not None and limit is not None and limit < share.parallelism:
            yield warn(
                "access",
                f"the share of {owner} lets {share.parallelism} tasks run at a time, but its limit "
                f"of running tasks is {limit}",
                "raise running in LONGTASK_LIMITS or LONGTASK_OWNER_LIMITS, or lower "
                "LONGTASK_SHARES",
            )


def _compared(whose: str, most: int, together: int, advice: str) -> Finding:
    """`together`: what the shares allow if only one owner has the share `*`."""
    if most < together:
        what = f"{whose} {most} deliveries at a time, but the shares allow {together} or more"
        return warn("queue", f"{what}: an owner may wait for the tasks of others", advice)
    return ok("queue", f"{whose} {most} deliveries at a time, and the shares allow {together}")
