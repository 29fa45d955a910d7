"""From the pieces of a model to the events of a log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.errors import ModelRefused
from application.transcript import EVENT_LIMIT, Transcript
from domain.answer import Answer, OutputItem, Piece, Reasoning, Text, ToolCall, ToolCallDelta
from domain.events import ContentAdded, ItemAdded, ReasoningAdded, ToolCallAdded, answer_of

TASK_ID = "task_1_a"


def transcript(max_chars: int = 10**6) -> Transcript:
    return Transcript(TASK_ID, max_chars)


def test_each_kind_of_piece_is_an_event_of_its_kind() -> None:
    note = {"type": "url_citation"}
    events = transcript().events(
        [
            Reasoning("hm"),
            Text("a"),
            Text("no", refusal=True),
            Text("", annotations=(note,)),
            ToolCallDelta(1, "{", "call_x", "look_up"),
            ToolCallDelta(1, "}"),
            OutputItem({"type": "web_search_call"}),
        ],
        7,
    )
    assert events == [
        ReasoningAdded(7, "hm"),
        ContentAdded(7, "a"),
        ContentAdded(7, "no", True),
        ContentAdded(7, "", False, (note,)),
        ToolCallAdded(7, 1, "{", "call_x", "look_up"),
        ToolCallAdded(7, 1, "}"),
        ItemAdded(7, {"type": "web_search_call"}),
    ]


def test_a_long_piece_is_several_events() -> None:
    long = "x" * (2 * EVENT_LIMIT + 1)
    note = {"type": "url_citation"}
    pieces: list[Piece] = [
        Text(long),
        Text(long, True, (note,)),
        Reasoning(long),
        ToolCallDelta(0, long, "call_x", "f"),
    ]
    written = transcript()
    events = written.events(pieces, 1)
    assert len(events) == 12
    call = (ToolCall(0, "call_x", "f", long),)
    assert answer_of(events) == written.answer() == Answer(long * 2, long, long, call, (note,))


def test_each_call_has_an_id_of_its_own() -> None:
    written = transcript()
    written.events(
        [
            ToolCallDelta(0, "{}", None, "a"),
            ToolCallDelta(1, "{}", "same", "b"),
            ToolCallDelta(2, "{}", "same", "c"),
            ToolCallDelta(1, "{}", "another", None),
        ],
        1,
    )
    assert [(call.id, call.name) for call in written.answer().tool_calls] == [
        (f"call_{TASK_ID}_0", "a"),
        ("same", "b"),
        (f"call_{TASK_ID}_2", "c"),
    ]


@pytest.mark.parametrize(
    "piece",
    [
        Text("12345"),
        Text("12345", refusal=True),
        Text("", annotations=({"a": 1},)),
        Reasoning("12345"),
        ToolCallDelta(0, "", "i", "1234"),
        ToolCallDelta(0, "1234", "i"),
        ToolCallDelta(0, "", "12345"),
        OutputItem({"a": ["b", {"c": None}, 1]}),
    ],
)
def test_everything_that_the_model_says_counts_towards_the_limit(piece: Piece) -> None:
    transcript(50).events([piece] * 2, 1)
    with pytest.raises(ModelRefused) as refused:
        transcript(4).events([piece] * 2, 1)
    assert refused.value.code == "answer_too_long"


PIECES = st.one_of(
    st.builds(Text, st.text(), st.booleans(), st.sampled_from([(), ({"a": 1},)])),
    st.builds(Reasoning, st.text()),
    st.builds(OutputItem, st.sampled_from([{}, {"type": "t"}])),
    st.builds(
        ToolCallDelta,
        st.integers(0, 3),
        st.text(),
        st.none() | st.sampled_from(["", "a", "b"]),
        st.none() | st.text(max_size=3),
    ),
)


@given(st.lists(st.lists(PIECES)))
def test_the_events_add_up_to_the_answer_however_they_come(batches: list[list[Piece]]) -> None:
    written = transcript()
    answer = answer_of([event for pieces in batches for event in written.events(pieces, 1)])
    assert answer == written.answer()
    ids = [call.id for call in answer.tool_calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    texts = [piece.text for pieces in batches for piece in pieces if isinstance(piece, Text)]
    assert answer.text == "".join(texts)
