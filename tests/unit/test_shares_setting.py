"""LONGTASK_SHARES: what its text says, and what follows from it."""

import pytest

from domain.flow_control import NO_SHARES, Share, Shares
from entrypoints.choices import orphan_timeout, queue_holds_shares
from entrypoints.settings.shares import parse_shares, shares_as_text
from tests.running import settings_for

QSTASH = {"qstash_token": "t", "base_url": "https://tasks.example.org"}


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("", NO_SHARES),
        ("*:parallelism=4", Shares(Share(parallelism=4))),
        (
            "*:parallelism=4,team-a:parallelism=20:rate=60/1m",
            Shares(Share(parallelism=4), {"team-a": Share(parallelism=20, rate=60, period=60)}),
        ),
        (
            "a:rate=10/s\n b:rate=5/90s",
            Shares(None, {"a": Share(rate=10), "b": Share(rate=5, period=90)}),
        ),
        ("a:rate=1/7d", Shares(None, {"a": Share(rate=1, period=604_800)})),
    ],
)
def test_the_shares_are_read_and_shown(text: str, shares: Shares) -> None:
    assert parse_shares(text) == shares
    assert parse_shares(shares_as_text(shares)) == shares


def test_each_owner_has_its_own_share_or_that_of_every_other() -> None:
    shares = parse_shares("*:parallelism=4,team-a:rate=60/1m")
    assert shares.of("team-a") == Share(rate=60, period=60)
    assert shares.of("team-b") == shares.of(None) == Share(parallelism=4)
    assert parse_shares("team-a:rate=1/s").of("team-b") is None


def test_tasks_wait_for_a_day_longer_in_a_queue_that_holds_shares() -> None:
    """Else a read would take those for lost that wait for their turn."""
    plain, shared = (
        orphan_timeout(settings_for(**QSTASH, shares=text)) for text in ("", "*:parallelism=1")
    )
    assert shared == plain + 24 * 3600


def test_only_a_queue_for_all_instances_keeps_their_rates() -> None:
    redis = "redis://127.0.0.1:1"
    assert queue_holds_shares(settings_for())
    assert queue_holds_shares(settings_for(**QSTASH, redis_url=redis))
    assert not queue_holds_shares(settings_for(redis_url=redis))
