"""Settings that would leave the service open stop its start."""

from typing import Any

import pytest

from entrypoints.api_keys import new_key
from entrypoints.settings import SettingsError, load_settings

ENTRY = new_key("alice")[1]
PLAIN = "alice:" + new_key("alice")[0]
SECRET = "a secret of forty characters, or even more"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "0.0.0.0"}, "LONGTASK_API_KEYS is not set"),  # noqa: S104
        ({"host": "::"}, "LONGTASK_API_KEYS is not set"),
        ({"host": "longtask.example.org"}, "LONGTASK_API_KEYS is not set"),
        ({"api_keys": ENTRY}, "LONGTASK_STREAM_SECRET is required"),
        ({"api_keys": ENTRY, "stream_secret": "short"}, "at least 32"),
        ({"api_keys": PLAIN, "stream_secret": SECRET, "env": "production"}, "longtask key new"),
        ({"api_keys": "alice:sha256:12", "stream_secret": SECRET}, "entry 1"),
        ({"api_keys": f"{ENTRY} a b:{ENTRY}", "stream_secret": SECRET}, "entry 2"),
        ({"api_keys": f"{ENTRY} a b:{ENTRY}", "stream_secret": SECRET}, "entry 3"),
        ({"limits": "starts=x"}, "LONGTASK_LIMITS"),
        ({"limits": "starts=1,starts=2"}, "LONGTASK_LIMITS"),
        ({"address_limits": "wishes=3"}, "starts=N, running=N, streams=N, tokens=N"),
        ({"limits": "wishes=3,tokens=-1"}, "LONGTASK_LIMITS: 'wishes=3'"),
        ({"limits": "wishes=3,tokens=-1"}, "LONGTASK_LIMITS: 'tokens=-1'"),
        ({"limits": "starts=1,starts=2"}, "'starts=2' comes after another limit of starts"),
        ({"limits": "tokens=0"}, "tokens must be from 1 to 1000000000000000, or left out"),
        ({"address_limits": f"tokens={10**15 + 1}"}, "LONGTASK_ADDRESS_LIMITS: tokens must be"),
        ({"limits": f"tokens={'9' * 5_000}"}, "tokens must be from 1 to"),
        ({"limits": "tokens=9"}, "LONGTASK_LIMITS limits API keys, but there are none"),
        ({"shares": "*:parallelism=4, team-a"}, "LONGTASK_SHARES: entry 2 is not NAME:parallelism"),
        ({"shares": "*:parallelism=0"}, "parallelism must be from 1 to 1000000"),
        ({"shares": "*:rate=5/8d:parallelism=0"}, "period must be from 1 to 604800 seconds"),
        ({"shares": "*:rate=5"}, "entry 1 has a rate that is not N/PERIOD, such as 10/s"),
        ({"shares": "*:rate=5/s:rate=6/s"}, "entry 1 names rate twice"),
        ({"shares": "*:rate=5/s,*:rate=6/s"}, "entry 2 comes after another one of the same name"),
        ({"shares": f"{PLAIN}:rate=5/s"}, "LONGTASK_SHARES: entry 1"),
        ({"shares": "*:parallelism=4,rate=5/s"}, "entries are separated by ','"),
        ({"shares": "alice:rate=5/s"}, "LONGTASK_SHARES names API keys, but there are none"),
        (
            {"api_keys": ENTRY, "stream_secret": SECRET, "shares": "alice:rate=5/s,al:rate=1/s"},
            "LONGTASK_SHARES has 'al', which is not one of LONGTASK_API_KEYS: alice",
        ),
        (
            {"api_keys": ENTRY, "stream_secret": SECRET, "owner_limits": "alcie:tokens=5"},
            "LONGTASK_OWNER_LIMITS has 'alcie', which is not one of LONGTASK_API_KEYS: alice",
        ),
        ({"owner_limits": "al:tokens=5"}, "LONGTASK_OWNER_LIMITS names API keys, but there are"),
        ({"owner_limits": "al:tokens=5,running=3"}, "limits of one key are joined by ':'"),
        ({"owner_limits": "al:tokens=5,al:running=3"}, "entry 2 comes after another one of the"),
        ({"owner_limits": "al:tokens=5M"}, "entry 1: 'tokens=5M' is not one of starts=N"),
        ({"owner_limits": "al:tokens=0"}, "tokens must be from 1 to 1000000000000000, or none"),
        ({"owner_limits": "al:tokens=5;bo:tokens=6"}, "its entries are separated by ','"),
        ({"shares": "al:rate=5/s;bo:rate=6/s"}, "its entries are separated by ','"),
        ({"owner_limits": "*:tokens=5"}, "LONGTASK_LIMITS has those of everybody else"),
        ({"owner_limits": "al"}, "entry 1 is not NAME:LIMIT or NAME:LIMIT:LIMIT"),
        ({"owner_limits": PLAIN}, "entry 1: what follows the name is not one of starts=N"),
        ({"limits": "al:tokens=5"}, "belong into LONGTASK_OWNER_LIMITS"),
        ({"trusted_proxies": "10.0.0.0/8,proxy"}, "LONGTASK_TRUSTED_PROXIES: 'proxy'"),
        ({"cors_origins": "https://a.example/path"}, "LONGTASK_CORS_ORIGINS"),
        ({"cors_origins": "* *.example.org"}, "LONGTASK_CORS_ORIGINS"),
        ({"otlp_endpoint": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
def test_what_would_leave_the_service_open_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(env_file=None, **given)
    assert said in str(refused.value)
    for secret in (ENTRY, PLAIN, SECRET, "short"):
        assert secret not in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        {"host": "127.0.0.2"},
        {"host": "::1"},
        {"host": "localhost"},
        {"host": "0.0.0.0", "allow_anonymous": True},  # noqa: S104
        {"host": "0.0.0.0", "api_keys": ENTRY, "stream_secret": SECRET},  # noqa: S104
        {"api_keys": PLAIN, "stream_secret": SECRET},  # in development
    ],
)
def test_what_is_safe_is_not(given: dict[str, Any]) -> None:
    load_settings(env_file=None, **given)
