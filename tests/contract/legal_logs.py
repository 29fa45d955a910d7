"""Logs that the rules allow, drawn at random."""

from hypothesis import strategies as st

from domain.answer import AnswerBuilder, JsonObject
from domain.events import (
    ContentAdded,
    Event,
    ItemAdded,
    PieceAdded,
    ReasoningAdded,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    ToolCallAdded,
    Usage,
    add_piece,
    begins_anew,
)

TIMES = st.integers(0, 2**53)
TEXTS = st.text(max_size=20)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
_FINITE = _SCALARS.filter(lambda value: value not in (float("inf"), float("-inf")))
VALUES = st.recursive(
    _FINITE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
"""Any JSON."""
OBJECTS: st.SearchStrategy[JsonObject] = st.dictionaries(TEXTS, VALUES, max_size=3)
USAGES = st.builds(
    Usage,
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.none() | st.integers(0, 10**9),
    st.none() | st.integers(0, 10**9),
    st.booleans(),
)


@st.composite
def piece_lists(draw: st.DrawFn) -> list[PieceAdded]:
    """The pieces of one attempt. The first of each call has the id."""
    pieces: list[PieceAdded] = []
    begun: set[int] = set()
    for kind in draw(st.lists(st.sampled_from("cgti"), max_size=8)):
        at = draw(TIMES)
        if kind == "c":
            annotations = tuple(draw(st.lists(OBJECTS, max_size=2)))
            pieces.append(ContentAdded(at, draw(TEXTS), draw(st.booleans()), annotations))
        elif kind == "g":
            pieces.append(ReasoningAdded(at, draw(TEXTS)))
        elif kind == "i":
            pieces.append(ItemAdded(at, {**draw(OBJECTS), "type": draw(TEXTS)}))
        else:
            index = draw(st.integers(0, 3))
            first = index not in begun
            begun.add(index)
            pieces.append(
                ToolCallAdded(
                    at,
                    index,
                    draw(TEXTS),
                    draw(TEXTS) if first else None,
                    draw(st.none() | TEXTS.filter(bool)),
                )
            )
    return pieces


@st.composite
def legal_logs(draw: st.DrawFn) -> list[Event]:
    """A whole log, with lost attempts and resumed ones."""
    answer = AnswerBuilder()
    log: list[Event] = [StatusChanged(draw(TIMES), TaskStatus.PENDING, 0)]
    attempts = draw(st.integers(0, 3))
    for number in range(1, attempts + 1):
        if number > 1:
            at, next_at, reason = draw(TIMES), draw(st.none() | TIMES), draw(TEXTS)
            lost = StatusChanged(at, TaskStatus.PENDING, number - 1, reason, False, next_at)
            log.append(lost)
        resumed = number > 1 and draw(st.booleans())
        log.append(StatusChanged(draw(TIMES), TaskStatus.RUNNING, number, None, resumed))
        if begins_anew(log[-1]):
            answer.clear()
            pieces: list[PieceAdded] = draw(piece_lists())
        else:  # the ids of its calls were given before
            pieces = [each for each in draw(piece_lists()) if not isinstance(each, ToolCallAdded)]
        for piece in pieces:
            add_piece(answer, piece)
            log.append(piece)
    outcomes = [TaskStatus.FAILED, TaskStatus.CANCELLED]
    status = draw(st.sampled_from([*outcomes, TaskStatus.COMPLETED] if attempts else outcomes))
    at, text = draw(TIMES), draw(TEXTS)
    log.append(StatusChanged(at, status, attempts, text if status is TaskStatus.FAILED else None))
    if status is TaskStatus.FAILED:
        log.append(TaskErrored(at, text, draw(TEXTS), draw(st.booleans())))
    else:
        usage, valid = draw(st.none() | USAGES), draw(st.none() | st.booleans())
        log.append(TaskEnded(at, answer.answer(), draw(TEXTS), draw(TEXTS), usage, valid))
    return log
