"""Estimates of numbers of tokens."""

import pytest

from domain.answer import Answer, ToolCall
from domain.request import TaskRequest
from domain.tokens import estimate_tokens, weight_of

CHINESE = "今天天气很好我们一起去公园散步吧"


COUNTED = {
    "All human beings are born free and equal in dignity and rights. They are endowed with reason "
    "and conscience and should act towards one another in a spirit of brotherhood.": 33,
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und "
    "Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen.": 38,
    "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и "  # noqa: RUF001
    "совестью и должны поступать в отношении друг друга в духе братства.": 41,
    "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميرًا وعليهم أن يعامل "
    "بعضهم بعضًا بروح الإخاء.": 44,
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है । "
    "उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है और परस्पर उन्हें भाईचारे के भाव से बर्ताव करना चाहिए ।": 54,
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 "
    "양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다.": 51,
    "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と"
    "良心とを授けられており、互いに同胞の精神をもって行動しなければならない。": 72,
    "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。": 37,
    'def add(a, b):\n    """Return the sum of a and b."""\n    return a + b\n\n'
    "print(add(1, 2))\n": 30,
    '{"id": 17, "title": "Two tickets", "price": 42.50, "paid": true, "tags": ["new"]}': 33,
    "Well done! 🎉🚀 See you 👋😀": 12,
}
"""Texts with their numbers of tokens by OpenAI's tokenizer o200k_base."""


@pytest.mark.parametrize("text", COUNTED)
def test_running_text_of_any_script(text: str) -> None:
    assert estimate_tokens(text) == pytest.approx(COUNTED[text], rel=0.3)


@pytest.mark.parametrize("text", ["a", "\ud83d"])
def test_the_smallest_texts(text: str) -> None:
    """The second is half of a pair, as a model may be cut off in it."""
    assert estimate_tokens(text) == 1
    assert estimate_tokens("") == 0


@pytest.mark.parametrize("text", COUNTED)
def test_parts_weigh_as_much_as_the_whole(text: str) -> None:
    assert sum(map(weight_of, text)) == weight_of(text)


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
    answer = Answer("text", reasoning="hmmm", tool_calls=(ToolCall(0, "1", "f", "null"),))
    assert answer.tokens == 3
