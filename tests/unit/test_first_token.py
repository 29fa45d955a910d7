"""The first token is a piece of the answer: that the model reasons is none."""

from contextlib import aclosing

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from adapters.opentelemetry.spans import TracedModel
from adapters.prometheus import MeasuredModel, Metrics
from domain.answer import Text
from tests.builders import REQUEST
from tests.doubles.model import DrivenModel
from tests.unit.run_task_bench import FINISHED


def _observed(metrics: Metrics) -> bool:
    return b"longtask_first_token_seconds_count 1.0" in metrics.exposition()


async def test_the_metric_begins_with_the_first_text() -> None:
    driven, metrics = DrivenModel(), Metrics()
    driven.say("", "", "a", FINISHED)
    async with aclosing(MeasuredModel(driven, metrics).stream(REQUEST)) as stream:
        assert [await anext(stream) for _ in range(2)] == [(), ()]
        assert not _observed(metrics)
        assert await anext(stream) == (Text("a"),)
        assert _observed(metrics)


async def test_the_span_does_too() -> None:
    driven, exporter, provider = DrivenModel(), InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    model = TracedModel(driven, provider.get_tracer("test"))
    driven.say("")
    async with aclosing(model.stream(REQUEST)) as stream:
        assert await anext(stream) == ()
    driven.say("", "a")
    async with aclosing(model.stream(REQUEST)) as stream:
        assert [await anext(stream) for _ in range(2)] == [(), (Text("a"),)]
    told = [[event.name for event in span.events] for span in exporter.get_finished_spans()]
    assert told == [[], ["first token"]]
