"""What the headers of an official SDK say of a request that it repeats by itself."""

import pytest

from application.start_task import Try
from entrypoints.http.openai.sdk_retries import retry_of

SDK = {"x-stainless-lang": "python", "user-agent": "OpenAI/Python"}


@pytest.mark.parametrize("headers", [{}, {"user-agent": "curl"}, {"x-retry-count": "1"}])
def test_other_clients_say_nothing(headers: dict[str, str]) -> None:
    assert retry_of(headers) is None


@pytest.mark.parametrize("count", ["1", "2", "10", "01", " 1 ", "9" * 5_000])
def test_a_count_above_zero_is_a_retry(count: str) -> None:
    assert retry_of({**SDK, "x-stainless-retry-count": count}) is Try.AGAIN
    assert retry_of({"X-Stainless-Retry-Count": count}) is Try.AGAIN


@pytest.mark.parametrize(
    "count", ["0", "00", "", "-1", "+1", "1.0", "1e3", "one", "1, 1", "1_0", "²", "\x00"]
)
def test_zero_and_what_is_no_number_is_a_first_try(count: str) -> None:
    assert retry_of({**SDK, "x-stainless-retry-count": count}) is Try.FIRST


def test_an_sdk_that_names_no_count_sends_a_first_try() -> None:
    assert retry_of(SDK) is Try.FIRST
