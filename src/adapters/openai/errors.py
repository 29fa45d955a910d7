"""Classify the faults of a model's server: a code, a message, and whether a retry may help.

The messages are ours, since those of a server may contain a part of the API key. If the server says
what is wrong with the request, its message is quoted, shortened and without the key.

OpenAI's codes: platform.openai.com/docs/guides/error-codes.
"""

import contextlib
import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import httpx2
import openai

from adapters.openai.reports import Report, is_page, read_report
from application.errors import ModelRefused, ModelUnavailable

_REFUSALS = {
    "invalid_api_key": "The model's server did not accept the API key.",
    "permission_denied": "The API key may not use this model.",
    "model_not_found": "The model's server does not know this model.",
    "insufficient_quota": "The quota of the API key is used up.",
    "content_refused": "The model's server refused the content of the request.",
    "context_length_exceeded": "The request is longer than this model can read.",
    "invalid_request": "The model's server refused the request.",
    "wrong_address": "The model's server has nothing to ask a model at this address. Check "
    "its URL (it usually ends in /v1) and its API: OPENAI_BASE_URL and LONGTASK_OPENAI_API, or "
    "baseUrl and api in LONGTASK_MODELS.",
    "redirected": "The model's server redirected the request, and redirects are not followed.",
}
_TEMPORARY = {
    "rate_limited": "The model's server limits the rate of requests.",
    "model_unreachable": "The model's server could not be reached.",
    "model_timeout": "The model's server did not respond in time.",
    "model_error": "The model's server failed.",
    "connection_lost": "The connection to the model's server broke.",
    "invalid_response": "The model's answer could not be read.",
}
# Our code for the `code` or `type` of an error object.
_NAMES = {
    "invalid_api_key": "invalid_api_key",
    "authentication_error": "invalid_api_key",
    "permission_error": "permission_denied",
    "model_not_found": "model_not_found",
    "insufficient_quota": "insufficient_quota",
    "billing_hard_limit_reached": "insufficient_quota",
    "content_filter": "content_refused",
    "content_policy_violation": "content_refused",
    "image_content_policy_violation": "content_refused",
    "bio_policy": "content_refused",
    "misalignment_policy_violation": "content_refused",
    "context_length_exceeded": "context_length_exceeded",
    "invalid_request_error": "invalid_request",
    "invalid_prompt": "invalid_request",
    "invalid_image_url": "invalid_request",
    "failed_to_download_image": "invalid_request",
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_error": "rate_limited",
    "server_error": "model_error",
    "overloaded_error": "model_error",
}
_STATUSES = {
    400: "invalid_request",
    401: "invalid_api_key",
    402: "insufficient_quota",
    403: "permission_denied",
    404: "model_not_found",
    408: "model_timeout",
    409: "model_error",
    413: "context_length_exceeded",
    422: "invalid_request",
    429: "rate_limited",
}
# Faults that a server reports before it does any work, also inside a stream.
_BEFORE_WORK = {*_REFUSALS, "rate_limited"} - {"content_refused"}
_QUOTED = {"invalid_request", "model_not_found", "context_length_exceeded"}
_QUOTE_LIMIT = 300
_READ_LIMIT = 2_000
"""Characters of a server's words in which the key is looked for, to quote some of them."""
_KEY_PART = 8
"""Characters of the API key that are not quoted. Servers cut a key, or mask its middle."""
# Statuses with which a server says that it has nothing at an address, and those with which a web
# page says so. Others mean what they say, also with a page: 401, 429, and those from 500.
_NO_SUCH_PAGE = {404, 405}
_PAGE = {400, 403, *_NO_SUCH_PAGE}

ModelFault = ModelRefused | ModelUnavailable


def classify_error(error: openai.OpenAIError, api_key: str) -> ModelFault:
    """Classify an error that the client raised: for a response, or for the lack of one."""
    if isinstance(error, openai.APIStatusError):
        status = error.status_code
        if status < 400:
            return _fault("redirected", unbilled=True)
        report = read_report(error.body)
        code = _code_of(status, error.body, report)
        retry_after = _retry_after(error.response.headers)
        return _fault(code, _quote(report, api_key, code), retry_after, unbilled=True)
    if _is_caused_by(error, httpx2.DecodingError):
        return unreadable()
    never_connected = _is_caused_by(
        error, aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError
    )
    if isinstance(error, openai.APITimeoutError):
        # The client raises this for every connection error of aiohttp.
        code = "model_timeout" if _is_caused_by(error, TimeoutError) else "model_unreachable"
        return _fault(code, unbilled=never_connected)
    if isinstance(error, openai.APIConnectionError):
        return _fault("model_unreachable", unbilled=never_connected)
    return _fault("model_error")


def classify_broken(error: Exception) -> ModelFault:
    """Classify an error of the connection during the answer, or a response that is not HTTP."""
    if _is_caused_by(error, TimeoutError):
        return _fault("model_timeout")
    if _is_caused_by(error, httpx2.DecodingError, aiohttp.ClientResponseError, ValueError):
        return unreadable()
    return _fault("connection_lost")


def classify_reported(error: Any, api_key: str) -> ModelFault:
    """Classify an error inside a stream: an error object, or a body that holds one."""
    report = read_report(error)
    code = _named(*report.names)
    if report.status is not None and code in (None, "invalid_request"):
        code = _by_status(report.status)
    if code is None:
        code = "wrong_address" if report.words and report.no_such_page else "model_error"
    return _fault(code, _quote(report, api_key, code), unbilled=code in _BEFORE_WORK)


def no_model_here() -> ModelFault:
    """Return the fault for a page in place of an answer."""
    return _fault("wrong_address", unbilled=True)


def unreadable() -> ModelFault:
    """Return the fault for an answer that cannot be decoded."""
    return _fault("invalid_response")


def _is_caused_by(error: BaseException | None, *kinds: type[BaseException]) -> bool:
    """Whether the error, or one in its chain of causes, is of these kinds."""
    while error is not None and not isinstance(error, kinds):
        error = error.__cause__
    return error is not None


def _named(*words: object) -> str | None:
    """Return our code for the first known word. A server may send any type of value."""
    return next((_NAMES[each] for each in words if isinstance(each, str) and each in _NAMES), None)


def _by_status(status: int) -> str:
    return _STATUSES.get(status, "model_error" if status >= 500 else "invalid_request")


def _code_of(status: int, body: object, report: Report) -> str:
    """Return the code for a response. Below 500 the body says more than the status."""
    by_status = _by_status(status)
    if status >= 500:
        return by_status
    if is_page(body) and status in _PAGE:
        return "wrong_address"
    named = _named(*report.names)
    if named is not None and named != "invalid_request":
        return named
    return "wrong_address" if status in _NO_SUCH_PAGE and report.no_such_page else by_status


def _quote(report: Report, api_key: str, code: str) -> str:
    """Return the words of a report if they may be told with this code: shortened, without the key,
    and as valid Unicode."""
    if code not in _QUOTED or is_page(report.words):
        return ""
    text = _without_key(report.words[:_READ_LIMIT], api_key)
    return text[:_QUOTE_LIMIT].encode(errors="replace").decode()


def _without_key(text: str, key: str) -> str:
    """Return the text with `***` in the place of the key and of every longer part of it."""
    shortest = min(_KEY_PART, len(key))
    if not shortest:
        return text
    kept, begin = [], 0
    while begin < len(text):
        end = begin + shortest
        if len(text) < end or text[begin:end] not in key:
            kept.append(text[begin])
            begin += 1
            continue
        while end < len(text) and text[begin : end + 1] in key:
            end += 1
        kept.append("***")
        begin = end
    return "".join(kept)


def _fault(
    code: str, quote: str = "", retry_after: float | None = None, *, unbilled: bool = False
) -> ModelFault:
    if code in _TEMPORARY:
        return ModelUnavailable(code, _TEMPORARY[code], retry_after, unbilled=unbilled)
    message = _REFUSALS[code]
    if quote:
        message = f"{message} It responded: {quote}"
    return ModelRefused(code, message, unbilled=unbilled)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return seconds, from `retry-after-ms` (OpenAI) or `Retry-After` (RFC 9110, section 10.2.3:
    seconds or a date)."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return _number(value)


def _number(text: str) -> float | None:
    with contextlib.suppress(ValueError):
        number = float(text)
        return max(0.0, number) if math.isfinite(number) else None
    return None
