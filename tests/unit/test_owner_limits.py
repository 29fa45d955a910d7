"""LONGTASK_OWNER_LIMITS: what each owner has of its own, and what as everybody."""

from application.accounts import Accounts, Limits
from entrypoints.choices import slots_of
from entrypoints.settings.limits import owner_limits_as_text
from tests.running import settings_for

KEYS = {
    "api_keys": ",".join(f"team-{name}:sha256:{'0' * 63}{name}" for name in "abc"),
    "stream_secret": "s" * 32,
}


def test_an_owner_has_the_limits_of_its_entry_and_else_those_of_all() -> None:
    text = "team-a:tokens=5000000:running=50,team-b:tokens=none"
    access = settings_for(**KEYS, limits="starts=60,tokens=1000", owner_limits=text).access
    assert owner_limits_as_text(access.owner_limits) == text
    accounts = Accounts(access.limits, access.address_limits, access.limits_of_owners)
    assert [accounts.of(owner, None)[0].limits for owner in ("team-a", "team-b", "team-c")] == [
        Limits(starts=60, running=50, tokens=5_000_000),
        Limits(starts=60),
        Limits(starts=60, tokens=1_000),
    ]


def test_slots_are_kept_where_only_one_owner_has_a_limit_of_running_tasks() -> None:
    assert slots_of(settings_for(**KEYS, owner_limits="team-a:running=5")) == "limited"
    assert slots_of(settings_for(**KEYS, owner_limits="team-a:tokens=5")) == "unlimited"
