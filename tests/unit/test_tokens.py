"""Estimates of numbers of tokens."""

import pytest

from domain.answer import Answer, ToolCall
from domain.request import TaskRequest
from domain.tokens import estimate_tokens

CHINESE = "今天天气很好我们一起去公园散步吧"


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("a", 1, 1),
        ("The quick brown fox jumps over the lazy dog.", 9, 12),  # 10 by OpenAI's tokenizer
        (CHINESE, 10, 16),  # 12 or 13
        ("Быстрая лиса прыгает через ленивую собаку.", 12, 21),
        ("\ud83d", 1, 1),  # half of a pair, as a model may be cut off in it
    ],
)
def test_a_text_of_any_script(text: str, least: int, most: int) -> None:
    assert least <= estimate_tokens(text) <= most


def test_several_texts_are_rounded_once() -> None:
    assert estimate_tokens(*["ab"] * 10) == 5


def test_a_request_and_an_answer() -> None:
    called = {"id": "1", "function": {"name": "f", "arguments": "x" * 8}}
    messages = (
        {"role": "user", "content": [{"type": "text", "text": CHINESE}, {"type": "image_url"}]},
        {"role": "assistant", "content": None, "tool_calls": [called]},
    )
    request = TaskRequest(model="m", system="s" * 4, messages=messages)
    assert request.tokens() == estimate_tokens(CHINESE, "x" * 12)
    answer = Answer("text", reasoning="why?", tool_calls=(ToolCall(0, "1", "f", "{}  "),))
    assert answer.tokens == 3
