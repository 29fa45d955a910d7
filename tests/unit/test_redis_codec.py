"""Events as they are written in Redis: what is read is what was written, whatever it holds."""

from hypothesis import given

from adapters.event_codec import encode_event
from adapters.redis.codec import decode_batch, decode_page
from domain.events import Event, fold
from tests.contract.legal_logs import legal_logs


@given(legal_logs())
def test_a_legal_log_is_read_as_it_was_written(log: list[Event]) -> None:
    written = [encode_event(event) for event in log]
    page = decode_page(b"1", b"1-e", 0, len(log), written)
    batch = decode_batch(b"1 - e 1 [%b]" % b",".join(written))
    assert list(page.events) == list(batch.events) == log
    assert fold(page.events).closed
