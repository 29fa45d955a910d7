"""Every error of OpenAI's SDK is told apart: passing or permanent, with a code of ours."""

import httpx2
import openai
import pytest

from adapters.openai.errors import classify_error
from application.errors import ModelRefused, ModelUnavailable

KEY = "sk-planted-secret"
REQUEST = httpx2.Request("POST", "http://example.org/v1/chat/completions")


def _status_error(status: int, body: object, **headers: str) -> openai.APIStatusError:
    response = httpx2.Response(status, request=REQUEST, headers=headers)
    return openai.APIStatusError("message", response=response, body=body)


@pytest.mark.parametrize("status", range(400, 600))
def test_every_status_is_told_apart(status: int) -> None:
    fault = classify_error(_status_error(status, None), KEY)
    passing = status >= 500 or status in (408, 409, 429)
    assert isinstance(fault, ModelUnavailable) == passing
    assert isinstance(fault, ModelRefused) != passing
    assert fault.code
    assert fault.message


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (429, {"code": "insufficient_quota"}, "insufficient_quota"),
        (429, {"type": "insufficient_quota"}, "insufficient_quota"),
        (429, {"code": "rate_limit_exceeded"}, "rate_limited"),
        (429, "not an object", "rate_limited"),
        (400, {"code": "context_length_exceeded"}, "context_length_exceeded"),
        (400, {"code": "content_policy_violation"}, "content_refused"),
        (400, {"type": "invalid_request_error"}, "invalid_request"),
        (401, {"type": "invalid_request_error", "code": "invalid_api_key"}, "invalid_api_key"),
        (404, {"type": "invalid_request_error"}, "model_not_found"),
        (503, {"code": "invalid_api_key"}, "model_error"),
    ],
)
def test_the_body_knows_better_than_a_status_below_500(
    status: int, body: object, code: str
) -> None:
    assert classify_error(_status_error(status, body), KEY).code == code


def _caused_by(error: openai.OpenAIError, cause: Exception) -> openai.OpenAIError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (_caused_by(openai.APITimeoutError(REQUEST), TimeoutError()), "model_timeout"),
        (_caused_by(openai.APITimeoutError(REQUEST), ConnectionError()), "model_unreachable"),
        (openai.APIConnectionError(request=REQUEST), "model_unreachable"),
        (openai.APIError("odd", REQUEST, body=None), "model_error"),
        (openai.OpenAIError("odd"), "model_error"),
    ],
)
def test_faults_without_an_answer_may_pass(error: openai.OpenAIError, code: str) -> None:
    fault = classify_error(error, KEY)
    assert isinstance(fault, ModelUnavailable)
    assert fault.code == code


def test_what_the_server_says_is_quoted_without_the_key() -> None:
    body = {"message": f"model x is unknown to {KEY} " + "y" * 500}
    message = classify_error(_status_error(404, body), KEY).message
    assert "model x is unknown to ***" in message
    assert KEY not in message
    assert len(message) < 400
    wrong_key = classify_error(_status_error(401, {"message": f"Incorrect key {KEY[:8]}"}), KEY)
    assert KEY[:8] not in wrong_key.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, 0.0),
        ({}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    fault = classify_error(_status_error(429, None, **headers), KEY)
    assert isinstance(fault, ModelUnavailable)
    assert fault.retry_after == seconds


@pytest.mark.parametrize("value", ["inf", "nan", "1e400"])
def test_a_number_that_is_none_is_passed_over(value: str) -> None:
    fault = classify_error(_status_error(429, None, **{"retry-after": value}), KEY)
    assert isinstance(fault, ModelUnavailable)
    assert fault.retry_after is None


@pytest.mark.parametrize(
    ("said", "quoted"),
    [
        (f"Bad key {KEY}.", "Bad key ***."),
        (f"Bad key {KEY[:12]}***{KEY[-5:]}.", f"Bad key ******{KEY[-5:]}."),
        (f"{KEY[:8]}\u200b{KEY[8:]}", "***\u200b***"),
        ("x" * 290 + KEY, "x" * 290 + "***"),
        ("a planted tree", "a planted tree"),
    ],
)
def test_no_longer_part_of_the_key_is_quoted(said: str, quoted: str) -> None:
    """Servers cut a key, or mask its middle."""
    fault = classify_error(_status_error(400, {"message": said}), KEY)
    assert str(fault).endswith(f"It responded: {quoted}")


@pytest.mark.parametrize("key", ["", "ollama"])
def test_a_short_key_hides_nothing_but_itself(key: str) -> None:
    fault = classify_error(_status_error(400, {"message": "ollama: oll"}), key)
    assert str(fault).endswith("It responded: ollama: oll" if not key else "It responded: ***: oll")
