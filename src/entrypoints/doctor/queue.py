"""Does QStash accept the token, and do deliveries carry a signature that the service accepts?"""

from collections.abc import Iterator

from adapters.qstash import OFF, QStashQueue, QueueClock, is_development_key
from application.errors import QueueRefused, QueueUnavailable
from entrypoints.doctor.data_file import check_file
from entrypoints.doctor.findings import Finding, Findings, fail, ok, warn
from entrypoints.outside_text import without_password
from entrypoints.settings import Settings


async def check_queue(settings: Settings, queue: QStashQueue, clock: QueueClock) -> Findings:
    chosen = settings.queue
    if chosen.embedded:
        for finding in _local(settings):
            yield finding
        return
    public = chosen.public_credentials()
    if public:
        yield _public(settings, ", ".join(public))
    shown = without_password(chosen.qstash_url)
    try:
        keys = await queue.signing_keys()
    except QueueRefused as error:
        yield fail("queue", f"QStash refuses the token: {error}", "is QSTASH_TOKEN right?")
        return
    except QueueUnavailable as error:
        where = f"{shown}: {error}"
        yield fail("queue", where, "is QSTASH_URL the one of your region?")
        return
    yield ok("queue", f"{shown} accepts the token")
    if not public and any(is_development_key(each) for each in keys):
        yield _public(settings, "the keys that this QStash signs with")
    offset = clock.offset()
    if abs(offset) > OFF:
        yield warn(
            "queue",
            f"this machine's clock is {abs(offset):.0f} s {'slow' if offset > 0 else 'fast'}",
            "synchronize it (chrony, systemd-timesyncd); until then QStash's clock is used",
        )
    yield _signing_keys(settings, keys)


def _local(settings: Settings) -> Iterator[Finding]:
    if settings.data_file is None:
        yield warn(
            "queue",
            "a local QStash, in the memory of the service: what waits is lost when it ends",
            "unset LONGTASK_DATA, or set QSTASH_TOKEN and BASE_URL",
        )
        return
    yield ok("queue", f"a local QStash, which keeps its messages in {settings.data_file}")
    if settings.store.shared:  # else the check of the store tells of the file
        yield from check_file("queue", settings.data_file)


def _signing_keys(settings: Settings, keys: tuple[str, str]) -> Finding:
    chosen = settings.queue
    ours = [chosen.qstash_current_signing_key, chosen.qstash_next_signing_key]
    if ours == [None, None]:
        return ok("queue", "the signing keys are fetched from QStash")
    set_keys = [each.get_secret_value() if each else "" for each in ours]
    copy = "copy both signing keys from QStash's console"
    if keys[0] not in set_keys:
        return fail(
            "queue",
            "every delivery will be rejected: QStash signs with a key that is not set here",
            copy,
        )
    if list(keys) != set_keys:
        return warn(
            "queue",
            "the signing keys were rotated: after the next rotation deliveries will be rejected",
            copy,
        )
    return ok("queue", "both signing keys are QStash's")


def _public(settings: Settings, what: str) -> Finding:
    report = fail if settings.refuses_development_keys else warn
    return report(
        "queue",
        f"{what}: these belong to QStash's development server, and anyone who knows them can run "
        "any task",
        "use them for development only; copy your own from QStash's console",
    )
