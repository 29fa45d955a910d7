"""Every setting, typed, from the environment or a `.env` file.

The names of the older system are kept; everything new is `LONGTASK_*`, but for `BASE_URL`. An empty
value counts as not set. Faults are collected: `load_settings` tells of all of them at once.
"""

import re
from dataclasses import fields
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from adapters.qstash import MalformedRetryDelay, RetryDelay
from adapters.redis import MalformedUrl, parse_address
from application.admission import Limits
from entrypoints.api_keys import ApiKey, MalformedKeys, parse_keys
from entrypoints.host_names import is_loopback
from entrypoints.queue_access import development_key_faults
from entrypoints.settings_sources import named_in, stray_secrets

ENV_FILE = Path(".env")
UPSTASH_URL = "https://qstash.upstash.io"


class SettingsError(Exception):
    """Raised with one message that lists every fault of the settings."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", populate_by_name=True
    )

    env: Literal["development", "production"] | None = Field(
        None,
        alias="LONGTASK_ENV",
        description="development or production. Default: production once QSTASH_TOKEN is set. "
        "Development opens GET /api/qstash/webhook and logs for a terminal.",
    )
    host: str = Field("127.0.0.1", alias="LONGTASK_HOST", description="Address to listen on.")
    port: int = Field(
        8000, ge=0, le=65535, alias="LONGTASK_PORT", description="Port; 0 takes any free one."
    )
    base_url: str | None = Field(
        None,
        alias="BASE_URL",
        description="Where QStash reaches this service. Required with QSTASH_TOKEN; otherwise the "
        "address it listens on.",
    )
    api_keys: SecretStr | None = Field(
        None,
        alias="LONGTASK_API_KEYS",
        description="Who may use the API: name:sha256:<hash>, several with commas in between. "
        "`longtask key new NAME` makes a key and its entry. Without them anybody may.",
    )
    allow_anonymous: bool = Field(
        False,
        alias="LONGTASK_ALLOW_ANONYMOUS",
        description="true: listen on other addresses than loopback though no API keys are set.",
    )
    stream_secret: SecretStr | None = Field(
        None,
        min_length=32,
        alias="LONGTASK_STREAM_SECRET",
        description="Signs stream links: 32 characters or more, the same for all instances. "
        "Required with LONGTASK_API_KEYS; changing it ends the links that are out.",
    )
    stream_link_ttl: float = Field(
        300.0,
        gt=0,
        alias="LONGTASK_STREAM_LINK_TTL",
        description="Seconds for which a stream link opens a stream.",
    )
    limits: str = Field(
        "",
        alias="LONGTASK_LIMITS",
        description="What each API key may: starts (in a minute), running (tasks that have not "
        "ended), streams (open), tokens (in a day), such as starts=60,running=20,streams=50,"
        "tokens=1000000. What is not named has no limit.",
    )
    address_limits: str = Field(
        "",
        alias="LONGTASK_ADDRESS_LIMITS",
        description="The same for each network address (64 bits of an IPv6 address).",
    )
    trusted_proxies: str = Field(
        "",
        alias="LONGTASK_TRUSTED_PROXIES",
        description="Addresses or networks of proxies in front, with commas in between: only their "
        "X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    cors_origins: str = Field(
        "",
        alias="LONGTASK_CORS_ORIGINS",
        description="Origins whose pages may use the API, such as https://app.example.org, with "
        "commas in between.",
    )
    request_timeout: float = Field(
        30.0,
        gt=0,
        alias="LONGTASK_REQUEST_TIMEOUT",
        description="Seconds for a client to send the head, and then the body, of a request.",
    )
    write_timeout: float = Field(
        60.0,
        gt=0,
        alias="LONGTASK_WRITE_TIMEOUT",
        description="Seconds after which a client that takes nothing of its response is cut off.",
    )
    max_connections: int | None = Field(
        None,
        ge=1,
        alias="LONGTASK_MAX_CONNECTIONS",
        description="Connections that one process holds open at once; more are refused with 503. "
        "Default: as many as its file descriptors allow (ulimit -n), at most 20,000.",
    )
    allowed_hosts: str = Field(
        "",
        alias="LONGTASK_ALLOWED_HOSTS",
        description="Names under which a service without API keys may be addressed, beside "
        "localhost, IP addresses and the host of BASE_URL, with commas in between: against pages "
        "of other names that resolve to this machine (DNS rebinding).",
    )
    workers: int = Field(
        1,
        ge=1,
        le=256,
        alias="LONGTASK_WORKERS",
        description="Processes that serve. More than one need Redis.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", alias="LONGTASK_LOG_LEVEL", description="DEBUG, INFO, WARNING or ERROR."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto",
        alias="LONGTASK_LOG_FORMAT",
        description="json, console, or auto: json in production, console in development.",
    )

    otlp_endpoint: str | None = Field(
        None,
        alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="Where traces are sent, OTLP over HTTP, such as http://localhost:4318. Without "
        "it none are made. Needs longtask[traces]; OpenTelemetry's other variables hold too.",
    )

    qstash_token: SecretStr | None = Field(
        None,
        alias="QSTASH_TOKEN",
        description="Token of Upstash QStash. Without it a local QStash runs inside the service.",
    )
    qstash_current_signing_key: SecretStr | None = Field(
        None,
        alias="QSTASH_CURRENT_SIGNING_KEY",
        description="Checks deliveries. Default: both signing keys are asked of QStash.",
    )
    qstash_next_signing_key: SecretStr | None = Field(
        None, alias="QSTASH_NEXT_SIGNING_KEY", description="Checks deliveries after a rotation."
    )
    allow_development_keys: bool = Field(
        False,
        alias="LONGTASK_ALLOW_DEVELOPMENT_KEYS",
        description="true: a development stack, which may use the token and signing keys of "
        "QStash's development server where others reach it. They are public: with them, others can "
        "run any task.",
    )
    qstash_url: str = Field(UPSTASH_URL, alias="QSTASH_URL", description="QStash's address.")
    qstash_retries: int = Field(
        3,
        ge=0,
        le=20,
        alias="LONGTASK_QSTASH_RETRIES",
        description="Deliveries after the first one failed.",
    )
    qstash_retry_delay: str = Field(
        "min(100000, 1000 * pow(10, retried))",
        alias="LONGTASK_QSTASH_RETRY_DELAY",
        description="Pause before a retry: an expression of QStash's in milliseconds.",
    )
    qstash_timeout: float = Field(
        10.0, gt=0, alias="LONGTASK_QSTASH_TIMEOUT", description="Seconds for a call to QStash."
    )
    delivery_timeout: float | None = Field(
        None,
        ge=1,
        alias="LONGTASK_DELIVERY_TIMEOUT",
        description="Seconds after which QStash delivers a task that still runs once more, to "
        "stand by in case that the first worker hangs. Default: the longest that your plan allows.",
    )
    local_qstash_port: int = Field(
        0,
        ge=0,
        le=65535,
        alias="LONGTASK_LOCAL_QSTASH_PORT",
        description="Loopback port of the local QStash; 0 takes any free one.",
    )

    openai_api_key: SecretStr | None = Field(
        None,
        alias="OPENAI_API_KEY",
        description="Key of the model's server. Without it and OPENAI_BASE_URL the demo model "
        "answers.",
    )
    openai_base_url: str | None = Field(
        None, alias="OPENAI_BASE_URL", description="Any server that speaks OpenAI's protocol."
    )
    default_model: str = Field(
        "gpt-4o-mini",
        min_length=1,
        max_length=200,
        alias="LONGTASK_DEFAULT_MODEL",
        description="Model of a request that names none.",
    )
    model_read_timeout: float = Field(
        600.0,
        gt=0,
        alias="LONGTASK_MODEL_READ_TIMEOUT",
        description="Seconds without a piece of the answer (text, reasoning, tool call) after "
        "which an attempt is lost.",
    )
    attempt_timeout: float = Field(
        86_400.0,
        gt=0,
        alias="LONGTASK_ATTEMPT_TIMEOUT",
        description="Seconds after which an attempt that still runs fails the task.",
    )
    demo_speed: float = Field(
        30.0,
        ge=0,
        alias="LONGTASK_DEMO_SPEED",
        description="Tokens per second of the demo model; 0 for no pause.",
    )

    redis_url: SecretStr | None = Field(
        None,
        alias="REDIS_URL",
        description="Where tasks are kept: redis://, rediss://, unix://, redis+sentinel:// or "
        "redis+cluster:// (see docs/redis.md). Without it they live in the memory of this one "
        "process.",
    )
    redis_connections: int = Field(
        50,
        ge=1,
        alias="LONGTASK_REDIS_CONNECTIONS",
        description="Connections for commands, beside the one that listens. Commands wait for one.",
    )
    redis_connect_timeout: float = Field(
        5.0,
        gt=0,
        alias="LONGTASK_REDIS_CONNECT_TIMEOUT",
        description="Seconds for a connection to Redis to come about.",
    )
    redis_timeout: float = Field(
        5.0,
        gt=0,
        alias="LONGTASK_REDIS_TIMEOUT",
        description="Seconds for an answer of Redis.",
    )
    upstash_redis_rest_url: str | None = Field(
        None,
        alias="UPSTASH_REDIS_REST_URL",
        description="Instead of REDIS_URL: Upstash's REST API, where only HTTPS leaves the "
        "network.",
    )
    upstash_redis_rest_token: SecretStr | None = Field(
        None, alias="UPSTASH_REDIS_REST_TOKEN", description="Token of that API."
    )
    task_ttl: float = Field(
        86_400.0,
        gt=0,
        alias="TASK_TTL",
        description="Seconds that a task is kept after its last event.",
    )
    lease: float = Field(
        30.0,
        gt=0,
        alias="LONGTASK_LEASE",
        description="Seconds after which the attempt of a worker that went silent is taken over.",
    )
    grace: float = Field(
        5.0,
        ge=0,
        alias="LONGTASK_GRACE",
        description="Seconds that running attempts get when the process is told to stop; then "
        "another one takes over.",
    )
    orphan_timeout: float | None = Field(
        None,
        gt=0,
        alias="LONGTASK_ORPHAN_TIMEOUT",
        description="Seconds without a sign of life after which a task counts as forgotten by the "
        "queue, and fails. Default: all its deliveries' time-outs and pauses, and an hour.",
    )
    max_concurrent_deliveries: int = Field(
        1_000,
        ge=1,
        alias="LONGTASK_MAX_CONCURRENT_DELIVERIES",
        description="Deliveries that one process works on at once; QStash brings the others again.",
    )
    max_streams: int = Field(
        10_000,
        ge=1,
        alias="LONGTASK_MAX_STREAMS",
        description="Streams that one process holds open at once; more are refused with 503.",
    )
    max_output_chars: int = Field(
        2_000_000,
        ge=1,
        alias="LONGTASK_MAX_OUTPUT_CHARS",
        description="Characters of an answer; a longer one fails.",
    )
    sse_ping_interval: float = Field(
        15.0,
        gt=0,
        alias="LONGTASK_SSE_PING_INTERVAL",
        description="Seconds of silence on a stream before a comment is sent.",
    )

    @property
    def store(self) -> str:
        """What keeps the tasks."""
        if self.redis_url is not None:
            return "Redis"
        return "memory" if self.upstash_redis_rest_url is None else "Redis over REST"

    @property
    def embedded_qstash(self) -> bool:
        return self.qstash_token is None

    @property
    def demo_model(self) -> bool:
        return self.openai_api_key is None and self.openai_base_url is None

    @property
    def development(self) -> bool:
        return self.env == "development"

    @property
    def keys(self) -> tuple[ApiKey, ...]:
        return () if self.api_keys is None else parse_keys(self.api_keys.get_secret_value())

    @property
    def owner_limits(self) -> Limits:
        return _parse_limits(self.limits)

    @property
    def limits_of_addresses(self) -> Limits:
        return _parse_limits(self.address_limits)

    @property
    def origins(self) -> list[str]:
        return _words(self.cors_origins)

    @property
    def hosts(self) -> frozenset[str]:
        """Names by which the service may be addressed, in lower case."""
        named = [*_words(self.allowed_hosts), self.host, urlsplit(self.base_url or "").hostname]
        return frozenset(name.lower() for name in named if name)

    @property
    def proxies(self) -> list[str]:
        return _words(self.trusted_proxies)

    @property
    def console_logs(self) -> bool:
        return self.log_format == "console" or (self.log_format == "auto" and self.development)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.env is None:
            self.env = "development" if self.embedded_qstash else "production"
        faults = []
        keys = {
            "QSTASH_CURRENT_SIGNING_KEY": self.qstash_current_signing_key,
            "QSTASH_NEXT_SIGNING_KEY": self.qstash_next_signing_key,
        }
        if self.qstash_token is not None:
            if self.base_url is None:
                faults.append("BASE_URL is required with QSTASH_TOKEN")
            if len(set_keys := [name for name, value in keys.items() if value is not None]) == 1:
                faults.append(f"{' and '.join(keys)} go together: only {set_keys[0]} is set")
        else:
            faults += [
                f"{name} is set but QSTASH_TOKEN is not"
                for name, value in keys.items()
                if value is not None
            ]
            if self.qstash_url != UPSTASH_URL:
                faults.append("QSTASH_URL is set but QSTASH_TOKEN is not")
        urls = {
            "BASE_URL": self.base_url,
            "QSTASH_URL": self.qstash_url,
            "OPENAI_BASE_URL": self.openai_base_url,
            "UPSTASH_REDIS_REST_URL": self.upstash_redis_rest_url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.otlp_endpoint,
        }
        for name, url in urls.items():
            if url is not None and not _is_http_url(url):
                faults.append(f"{name} must be an http:// or https:// URL with no query")
        try:
            RetryDelay.parse(self.qstash_retry_delay)
        except MalformedRetryDelay as error:
            faults.append(f"LONGTASK_QSTASH_RETRY_DELAY: {error}")
        faults += self._redis_faults()
        faults += self._access_faults()
        faults += development_key_faults(self)
        if self.otlp_endpoint is not None and find_spec("opentelemetry") is None:
            faults.append(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the packages for traces are not "
                "installed: pip install 'longtask[traces]'"
            )
        if self.workers > 1 and self.store == "memory":
            faults.append(
                f"LONGTASK_WORKERS is {self.workers}, but without REDIS_URL tasks live in the "
                "memory of one process"
            )
        if faults:
            raise PydanticCustomError("contradiction", "{faults}", {"faults": "\n".join(faults)})
        self.base_url = self.base_url.rstrip("/") if self.base_url else None
        return self

    def _access_faults(self) -> list[str]:
        faults = []
        try:
            keys = self.keys
        except MalformedKeys as error:
            return [f"LONGTASK_API_KEYS: {error}"]
        if any(key.plain for key in keys) and not self.development:
            faults.append(
                "LONGTASK_API_KEYS holds a key itself, not its hash: make one with "
                "`longtask key new NAME` and put the entry that it prints there"
            )
        if keys and self.stream_secret is None:
            faults.append(
                "LONGTASK_STREAM_SECRET is required with LONGTASK_API_KEYS; "
                "`longtask key new NAME` makes one too"
            )
        if not keys and not self.allow_anonymous and not is_loopback(self.host):
            faults.append(
                f"LONGTASK_HOST is {self.host}, which others can reach, but LONGTASK_API_KEYS is "
                "not set: make a key with `longtask key new NAME`, or say "
                "LONGTASK_ALLOW_ANONYMOUS=true"
            )
        for name in ("limits", "address_limits"):
            try:
                _parse_limits(getattr(self, name))
            except ValueError as error:
                faults.append(f"{_variable(name)}: {error}")
        faults += [
            f"LONGTASK_TRUSTED_PROXIES: {each!r} is neither an address nor a network"
            for each in self.proxies
            if not _is_network(each)
        ]
        faults += [
            f"LONGTASK_CORS_ORIGINS: {each!r} is not an origin, such as https://app.example.org"
            for each in self.origins
            if not _is_http_url(each) or each.count("/") != 2
        ]
        return faults

    def _redis_faults(self) -> list[str]:
        faults = []
        url, token = self.upstash_redis_rest_url, self.upstash_redis_rest_token
        if self.redis_url is not None:
            try:
                parse_address(self.redis_url.get_secret_value())
            except MalformedUrl as error:
                faults.append(f"REDIS_URL: {error}")
            if url is not None or token is not None:
                faults.append("REDIS_URL and UPSTASH_REDIS_REST_* exclude each other: choose one")
        elif (url is None) != (token is None):
            faults.append("UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN go together")
        return faults


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _parse_limits(text: str) -> Limits:
    """`starts=60,running=20`. Raises ValueError with what is wrong."""
    found: dict[str, int] = {}
    names = tuple(each.name for each in fields(Limits))
    for entry in _words(text):
        name, _, number = entry.partition("=")
        if name not in names or name in found or not number.isascii() or not number.isdigit():
            raise ValueError(f"{entry!r} is not one of {', '.join(f'{each}=N' for each in names)}")
        found[name] = int(number)
    return Limits(**found)


def _words(text: str) -> list[str]:
    return [each for each in re.split(r"[,\s]+", text) if each]


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and not (parts.query or parts.fragment)
    )


def load_settings(env_file: Path | None = ENV_FILE, **overrides: Any) -> Settings:
    """Settings from the overrides (by field name), the environment and the file, in this order.
    Raises SettingsError."""
    faults = stray_secrets(env_file)
    try:
        settings = Settings(_env_file=env_file, **overrides)  # type: ignore[call-arg]
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            where = str(fault["loc"][0]) if fault["loc"] else ""
            name = _variable(where)
            faults += [f"{name}: {line}" if name else line for line in fault["msg"].splitlines()]
    if faults:
        raise SettingsError("\n".join(f"  - {line}" for line in faults))
    return settings


def filed_settings(env_file: Path = ENV_FILE) -> list[str]:
    """The variables that the file decides, unless the environment does."""
    names = {str(field.alias) for field in Settings.model_fields.values()}
    return sorted(names & named_in(env_file))


def _variable(location: str) -> str:
    field = Settings.model_fields.get(location)
    return str(field.alias) if field is not None else location


def chosen_parts(settings: Settings) -> dict[str, str]:
    """What the service is made of with these settings."""
    return {
        "store": settings.store,
        "queue": "local QStash" if settings.embedded_qstash else settings.qstash_url,
        "model": "demo" if settings.demo_model else settings.openai_base_url or "OpenAI",
    }


def describe(settings: Settings) -> list[tuple[str, str, str]]:
    """Every setting as (variable, value, meaning). No secret is among the values."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        shown = "" if value is None else "(set)" if isinstance(value, SecretStr) else str(value)
        rows.append((str(field.alias), shown, field.description or ""))
    return rows
