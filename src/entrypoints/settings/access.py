"""Who may use the service, how much, and from where."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import SecretStr

from application.accounts import Limits
from domain.flow_control import NO_SHARES, Shares
from entrypoints.api_keys import ApiKey, parse_keys
from entrypoints.host_names import host_of
from entrypoints.keys_file import KeysFile, read_keys_file
from entrypoints.outside_text import is_http_url
from entrypoints.settings.group import Group, parsed, setting, words_of
from entrypoints.settings.limits import OwnerLimits, parse_limits, parse_owner_limits
from entrypoints.settings.shares import parse_shares

Network = IPv4Network | IPv6Network

ANY_ORIGIN = "*"


def _keys_file(text: str) -> KeysFile:
    return read_keys_file(Path(text))


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither an address nor a network") from None


def _origin(text: str) -> str:
    if text == ANY_ORIGIN:
        return text
    if not is_http_url(text) or text.count("/") != 2:
        raise ValueError(f"{text!r} is not an origin, such as https://app.example.org")
    return text


def _host_name(text: str) -> str:
    name = host_of(text)
    if name is None:
        raise ValueError(f"{text!r} is not a host name")
    return name


class AccessSettings(Group):
    title: ClassVar[str] = "Access"

    api_keys: Annotated[tuple[ApiKey, ...], parsed(parse_keys)] = setting(
        "LONGTASK_API_KEYS",
        (),
        "The API keys, as `name:sha256:<hash>`, separated by commas. `longtask key new NAME` makes "
        "a key and its entry. Without any, every caller is admitted. In development an entry may "
        "be `name:<key>`, where the key is `lt_` and at least 20 letters, digits, `-` or `_`.",
        secret=True,
    )
    api_keys_file: Annotated[KeysFile | None, parsed(_keys_file)] = setting(
        "LONGTASK_API_KEYS_FILE",
        None,
        "A file with further API keys, one entry in a line; comments begin with `#`. It is "
        "watched: a change counts within a few seconds, without a restart. `longtask key new NAME` "
        "then adds to it, and `longtask key withdraw NAME` removes. With it the service always "
        "requires keys, also while the file holds none.",
    )
    allow_anonymous: bool = setting(
        "LONGTASK_ALLOW_ANONYMOUS",
        False,
        "`true` allows the service to listen on an address other than loopback without API keys.",
    )
    stream_secret: SecretStr | None = setting(
        "LONGTASK_STREAM_SECRET",
        None,
        "The secret that signs stream links: at least 32 characters, the same in all instances. "
        "Required with API keys. Changing it invalidates the links that were given out.",
        min_length=32,
    )
    stream_link_ttl: float = setting(
        "LONGTASK_STREAM_LINK_TTL",
        300.0,
        "How long a stream link can be used to open a stream.",
        unit="seconds",
        gt=0,
    )
    chat_token_ttl: float = setting(
        "LONGTASK_CHAT_TOKEN_TTL",
        3600.0,
        "How long the token of a chat can be used (`POST /api/chat/{id}/token`), at most. It is "
        "signed with `LONGTASK_STREAM_SECRET`.",
        unit="seconds",
        ge=1,
    )
    trust_all_callers: bool = setting(
        "LONGTASK_TRUST_ALL_CALLERS",
        False,
        "`true` lets every caller of a service without API keys see all tasks (`GET /api/tasks`, "
        "`/api/tasks/events`) and use every chat (`/api/chat`), also where the service can be "
        "reached from other machines. Neither needs an id that others cannot guess. Without it, "
        "such a service has neither unless it listens on loopback, `BASE_URL` is loopback or not "
        "set, and neither `LONGTASK_ALLOWED_HOSTS` nor `LONGTASK_TRUSTED_PROXIES` are set.",
    )
    limits: Annotated[Limits, parsed(parse_limits)] = setting(
        "LONGTASK_LIMITS",
        Limits(),
        "The limits of each API key: `starts` per minute, `running` tasks (those that wait "
        "included), open `streams`, and `tokens` per day of UTC, which also cut what runs "
        "([budgets.md](budgets.md)). Any subset may be given; what is not named is not limited. "
        "Example: `starts=60,running=20,streams=50,tokens=1000000`.",
        otherwise="no limit",
    )
    owner_limits: Annotated[OwnerLimits, parsed(parse_owner_limits)] = setting(
        "LONGTASK_OWNER_LIMITS",
        OwnerLimits(),
        "The limits of API keys that have others than `LONGTASK_LIMITS`. An entry is "
        "`NAME:LIMIT:LIMIT`, with any subset of the same limits, or `none` for no limit; what an "
        "entry does not name is as in `LONGTASK_LIMITS`. Example: "
        "`team-a:tokens=5000000:running=50,team-b:tokens=none`.",
        otherwise="`LONGTASK_LIMITS`",
    )
    address_limits: Annotated[Limits, parsed(parse_limits)] = setting(
        "LONGTASK_ADDRESS_LIMITS",
        Limits(),
        "The limits of each network address, written as those of `LONGTASK_LIMITS`. An IPv6 "
        "address counts by its first 64 bits.",
        otherwise="no limit",
    )
    shares: Annotated[Shares, parsed(parse_shares)] = setting(
        "LONGTASK_SHARES",
        NO_SHARES,
        "How many tasks of each API key run at the same time, and how many begin in a period, so "
        "that none keeps the others from running ([fair-shares.md](fair-shares.md)); what is more "
        "waits in the queue. An entry is `NAME:parallelism=N`, `NAME:rate=N/PERIOD` (`60/1m`), or "
        "both; `*` is every key that has no entry, and all callers where there are no keys. "
        "Example: `*:parallelism=4,team-a:parallelism=20:rate=600/1h`.",
        otherwise="no limit",
    )
    trusted_proxies: Annotated[tuple[Network, ...], parsed(words_of(_network))] = setting(
        "LONGTASK_TRUSTED_PROXIES",
        (),
        "Addresses or networks of the reverse proxies in front of the service, separated by "
        "commas. `X-Forwarded-For` and `X-Forwarded-Proto` are ignored from all others.",
    )
    cors_origins: Annotated[tuple[str, ...], parsed(words_of(_origin))] = setting(
        "LONGTASK_CORS_ORIGINS",
        (),
        "Origins whose pages may use the API, such as `https://app.example.org`, separated by "
        "commas. `*` lets the pages of all other origins read what an unguessable task id or a "
        "stream link opens, without a key: nothing that needs a key, and no change.",
    )
    allowed_hosts: Annotated[tuple[str, ...], parsed(words_of(_host_name))] = setting(
        "LONGTASK_ALLOWED_HOSTS",
        (),
        "Host names at which a service without API keys accepts requests, separated by commas, in "
        "addition to localhost, IP addresses and the host of `BASE_URL`. This protects against "
        "pages whose own name resolves to this machine (DNS rebinding).",
    )

    @property
    def requires_keys(self) -> bool:
        """Whether every caller needs a key. Keys that come and go do not change it."""
        return bool(self.api_keys) or self.api_keys_file is not None

    @property
    def keys_at_start(self) -> tuple[ApiKey, ...]:
        """The keys of both settings when they were read."""
        return (*self.api_keys, *(self.api_keys_file.keys if self.api_keys_file else ()))

    @property
    def limits_of_owners(self) -> Mapping[str, Limits]:
        """All the limits of each owner that has others than `limits`."""
        return self.owner_limits.over(self.limits)

    @property
    def named_origins(self) -> tuple[str, ...]:
        return tuple(each for each in self.cors_origins if each != ANY_ORIGIN)

    @property
    def readable_by_all(self) -> bool:
        return ANY_ORIGIN in self.cors_origins
