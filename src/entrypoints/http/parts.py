"""What handlers work with, as one value: the use cases, and what HTTP itself needs beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from adapters.prometheus import Metrics
from adapters.qstash import DeliveryVerifier
from application.owner_shares import OwnerShares
from application.ports import Clock
from application.use_cases import UseCases
from domain.prices import Prices
from domain.request import RequestBounds
from entrypoints.http.access import Access
from entrypoints.http.ai_sdk.views import UiView
from entrypoints.http.delivery_bodies import DeliveryBodies
from entrypoints.http.open_streams import OpenStreams
from entrypoints.http.openai.views import ResponseView
from entrypoints.http.origins import Origins
from entrypoints.http.readiness import Readiness
from entrypoints.http.request_counts import RequestCounts
from entrypoints.http.request_defaults import RequestDefaults
from entrypoints.http.sse.checkpoints import Views
from entrypoints.http.sse.encoder import SseEncoder
from entrypoints.http.sse.held_streams import HeldStreams
from entrypoints.http.sse.projected import Steps
from entrypoints.http.start_bodies import StartBodies

if TYPE_CHECKING:
    from adapters.opentelemetry import Tracing

REACHED_BY_NO_OTHER = (
    "the settings (LONGTASK_HOST, BASE_URL, LONGTASK_ALLOWED_HOSTS, LONGTASK_TRUSTED_PROXIES) let "
    "no other machine reach the service"
)
"""What lets a service without API keys trust its callers, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpParts:
    use_cases: UseCases
    access: Access
    origins: Origins
    readiness: Readiness
    deliveries: DeliveryVerifier
    delivery_bodies: DeliveryBodies
    start_bodies: StartBodies
    request_bounds: RequestBounds
    prices: Prices
    shares: OwnerShares
    sse_encoder: SseEncoder
    steps: Steps
    """Of the streams in the form of another protocol."""
    response_views: Views[ResponseView]
    ui_views: Views[UiView]
    rejects_in_running_chats: bool
    """Whether a new message is refused in a chat whose task still runs, which else is cancelled."""
    trusts_callers: bool
    """Whether callers may use what no unguessable id protects: chats, the list of tasks, and the
    stream of their changes."""
    ping_interval: float
    """Seconds after which a response that is held says something."""
    clock: Clock
    metrics: Metrics
    request_counts: RequestCounts
    open_streams: OpenStreams
    held_streams: HeldStreams
    tracing: "Tracing | None"
    request_defaults: RequestDefaults
    cors_origins: Sequence[str]
    """Origins whose pages may use the API."""
    readable_by_all: bool
    """Whether pages of any origin may read what an unguessable id or a link opens."""
    prefix: str
    """What stands before the path of every address that is given out: "" or, behind a proxy that
    strips it, such as "/longtask"."""
    development: bool
    """Whether the routes for development are open."""


Parts = NamedDependency[SkipValidation[HttpParts]]
"""The type of a handler's parameter `parts`. It is one dependency since Litestar resolves several
in a task each, and keeps those tasks in memory for as long as a stream lasts."""
