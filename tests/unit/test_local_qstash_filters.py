"""What a call about many messages means: ids or filters, in the query or in a body. What is not
understood is refused, and never means all."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.local_qstash.filters import (
    EVENTS,
    LETTERS,
    LOGS,
    MESSAGES,
    Facts,
    Kind,
    read_search,
)
from entrypoints.local_qstash.refusals import BadMessage
from entrypoints.local_qstash.states import State

FACTS = Facts(
    id="7-a",
    at=5_000,
    url="https://Example.org:8443/in/x?a=1,2",
    message_id="msg_a",
    labels=("one", "two"),
    queue="q",
    flow_key="key",
    url_group="group",
    schedule_id="scd",
    caller_ip="10.0.0.1",
    status=503,
    state=State.ERROR,
)
HITS = [
    (LETTERS, "messageId", "msg_a"),
    (LETTERS, "dlqIds", "6-b,7-a"),
    (LETTERS, "responseStatus", "500,503"),
    (LOGS, "messageIds", "msg_b,msg_a"),
    (LOGS, "state", "ERROR"),
    (LOGS, "state", "IN_PROGRESS"),
    (EVENTS, "state", "CANCELLED,ERROR"),
    (MESSAGES, "url", FACTS.url),
    (MESSAGES, "url", f"https://example.com/a,b,{FACTS.url}"),
    (MESSAGES, "host", "example.org"),
    (MESSAGES, "host", "EXAMPLE.org:8443"),
    (MESSAGES, "path", "/other,/in/x"),
    (MESSAGES, "label", "two"),
    (MESSAGES, "label", "three, one"),
    (MESSAGES, "queueName", "q"),
    (MESSAGES, "topicName", "group"),
    (MESSAGES, "scheduleId", "scd"),
    (MESSAGES, "callerIp", "10.0.0.1"),
    (MESSAGES, "callerIP", "10.0.0.1"),
    (MESSAGES, "flowControlKey", "key"),
    (MESSAGES, "fromDate", "5000"),
    (MESSAGES, "toDate", "5000"),
]
MISSES = [
    (MESSAGES, "messageIds", "msg_b"),
    (MESSAGES, "url", "https://example.org:8443/in/x"),
    (MESSAGES, "url", "https://example.org:8443/in/x?a=1"),
    (MESSAGES, "host", "ample.org"),
    (MESSAGES, "path", "/in"),
    (MESSAGES, "label", "one two"),
    (MESSAGES, "fromDate", "5001"),
    (MESSAGES, "toDate", "4999"),
    (LETTERS, "responseStatus", "50"),
    (LOGS, "state", "DELIVERED"),
]


@pytest.mark.parametrize(("kind", "name", "value"), HITS)
def test_what_matches(kind: Kind, name: str, value: str) -> None:
    assert read_search(kind, [(name, value)]).matches(FACTS)
    values = re.split(", ?", value) if name not in ("url", "path") else [value]
    body = {name: values if len(values) > 1 else int(value) if value.isdecimal() else value}
    assert read_search(kind, [], body).matches(FACTS)


@pytest.mark.parametrize(("kind", "name", "value"), MISSES)
def test_what_does_not_match(kind: Kind, name: str, value: str) -> None:
    search = read_search(kind, [(name, value)])
    assert not search.matches(FACTS)
    assert not search.everything


def test_values_of_one_filter_are_joined_by_or_and_filters_by_and() -> None:
    either = [("label", "x"), ("label", "one"), ("host", "a,example.org")]
    assert read_search(MESSAGES, either).matches(FACTS)
    both = [("label", "x"), ("label", "one"), ("queueName", "q")]
    assert read_search(MESSAGES, both).matches(FACTS)
    assert not read_search(MESSAGES, [*both, ("callerIp", "10.0.0.2")]).matches(FACTS)
    assert read_search(MESSAGES, [("label", "x")], {"label": ["one"]}).matches(FACTS)


def test_ids_replace_the_filters_and_keep_their_order() -> None:
    search = read_search(LETTERS, [("dlqIds", "9-c"), ("label", "nothing")], {"dlqIds": ["7-a"]})
    assert list(search.ids or ()) == ["9-c", "7-a"]
    assert search.matches(FACTS)


@pytest.mark.parametrize("body", [None, {"messageIds": []}, {"label": []}])
def test_no_criterion_means_all_and_an_empty_list_means_none(body: object) -> None:
    search = read_search(MESSAGES, [], body)
    assert search.everything == search.matches(FACTS) == (body is None)


@pytest.mark.parametrize(
    ("kind", "query", "body", "named"),
    [
        (MESSAGES, [("labels", "a")], None, "labels"),
        (MESSAGES, [("messageId", "a")], None, "messageId"),
        (MESSAGES, [("cursor", "a")], None, "cursor"),
        (MESSAGES, [("queue", "a"), ("labels", "a")], None, "labels, queue"),
        (LETTERS, [("host", "a")], None, "host"),
        (LETTERS, [("messageIds", "a")], None, "messageIds"),
        (LETTERS, [("state", "FAILED")], None, "state"),
        (LOGS, [("state", "LOST")], None, "state"),
        (LOGS, [("fromDate", "yesterday")], None, "fromDate"),
        (LOGS, [("toDate", "1.5")], None, "toDate"),
        (LOGS, [("toDate", "")], None, "toDate"),
        (LOGS, [("toDate", "1"), ("toDate", "2")], None, "toDate"),
        (LOGS, [("count", "101")], None, "count"),
        (EVENTS, [("count", "1001")], None, "count"),
        (MESSAGES, [("count", "501")], None, "count"),
        (LETTERS, [("count", "0")], None, "count"),
        (LETTERS, [("count", "-1")], None, "count"),
        (LETTERS, [("count", "٣")], None, "count"),
        (LETTERS, [("responseStatus", "5xx")], None, "responseStatus"),
        (MESSAGES, [("messageIds", "")], None, "messageIds"),
        (MESSAGES, [("label", "a,,b")], None, "label"),
        (LETTERS, [("messageId", "")], None, "messageId"),
        (MESSAGES, [], {}, "body"),
        (MESSAGES, [], [], "body"),
        (MESSAGES, [], ["msg_a"], "body"),
        (MESSAGES, [], "msg_a", "body"),
        (MESSAGES, [], {"ids": ["msg_a"]}, "ids"),
        (MESSAGES, [], {"messageIds": None}, "messageIds"),
        (MESSAGES, [], {"messageIds": {"a": 1}}, "messageIds"),
        (MESSAGES, [], {"messageIds": [["a"]]}, "messageIds"),
        (MESSAGES, [], {"count": True}, "count"),
        (MESSAGES, [], {"count": []}, "count"),
    ],
)
def test_what_is_refused_names_the_field(
    kind: Kind, query: list[tuple[str, str]], body: object, named: str
) -> None:
    with pytest.raises(BadMessage, match=rf"\b{re.escape(named)}\b"):
        read_search(kind, query, body)


def test_counts() -> None:
    assert read_search(MESSAGES, []).count is None
    assert read_search(MESSAGES, [("count", "500")]).count == 500
    assert read_search(LETTERS, []).count == read_search(EVENTS, []).count == 100
    assert read_search(EVENTS, [("count", "1000")]).count == 1000


_NAMES = st.sampled_from([name for _, name, _ in HITS] + ["ids", "label", "x", ""])
_TEXT = st.text(max_size=8) | st.sampled_from([value for _, _, value in HITS])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)


@given(
    kind=st.sampled_from([MESSAGES, LETTERS, LOGS, EVENTS]),
    query=st.lists(st.tuples(_NAMES, _TEXT), max_size=4),
    body=_JSON,
)
def test_whatever_is_given_is_refused_or_narrows_the_search(
    kind: Kind, query: list[tuple[str, str]], body: object
) -> None:
    try:
        search = read_search(kind, query, body)
    except BadMessage:
        return
    search.matches(FACTS)
    narrowing = {*(name for name, _ in query), *(body if isinstance(body, dict) else ())}
    assert search.everything == (not narrowing - {"count", "cursor"})
