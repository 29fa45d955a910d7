"""Estimates of numbers of tokens, for what no model has counted.

A character costs what it costs on average in running text of its script, by OpenAI's tokenizer
o200k_base (docs/budgets.md has the errors). So the estimate of a text is the sum of those of its
parts, wherever it is cut, and a text that streams need not be read again.
"""

import string

PARTS = 100
"""Of a token, in which characters are weighed."""
_LETTERS = string.ascii_letters.encode()
_LETTER, _SIGN = 25, 60
"""Weights of ASCII: letters, and what is neither a letter nor a space (punctuation, digits, line
breaks). The spaces between words are in the words."""
_WEIGHTS = {
    0x00: 80,  # accented letters of western Europe
    0x01: 110,  # and of central Europe and Turkey
    0x02: 120,
    0x03: 40,  # Greek
    0x04: 31,  # Cyrillic
    0x05: 42,  # Hebrew, Armenian
    0x06: 36,  # Arabic
    0x07: 100,
    0x09: 36,  # Hindi, Bengali
    0x0A: 45,
    0x0B: 40,  # Tamil
    0x0C: 50,  # Telugu, Kannada
    0x0D: 55,
    0x0E: 43,  # Thai
    0x10: 45,  # Burmese, Georgian
    0x12: 200,  # Ethiopic
    0x13: 200,
    0x1E: 30,  # Vietnamese
    **dict.fromkeys(range(0x20, 0x30), 80),  # punctuation, signs
    **dict.fromkeys(range(0x30, 0x32), 80),  # Japanese kana
    **dict.fromkeys(range(0x34, 0xA0), 82),  # Chinese characters
    **dict.fromkeys(range(0xAC, 0xD8), 75),  # Korean
    **dict.fromkeys(range(0xD8, 0xE0), 70),  # a half of an emoji
    0xFF: 80,  # wide forms
}
"""By the high byte in UTF-16."""
_OTHER = 150
_CLASSES = sorted({_OTHER, *_WEIGHTS.values()})
_CLASS_OF = bytes(_CLASSES.index(_WEIGHTS.get(high, _OTHER)) for high in range(256))
_WESTERN = _WEIGHTS[0]


def estimate_tokens(*texts: str) -> int:
    """Return about how many tokens these texts cost together. Texts that are empty cost none."""
    return tokens_in(sum(map(weight_of, texts)))


def tokens_in(weight: int) -> int:
    """Return how many tokens a weight is, rounded up."""
    return -(-weight // PARTS)


def weight_of(text: str) -> int:
    """Return what a text weighs. One megabyte takes some milliseconds."""
    plain, weight = text.encode("ascii", "ignore"), 0
    if len(plain) < len(text):
        classes = text.encode("utf-16-le", "surrogatepass")[1::2].translate(_CLASS_OF)
        weight = sum(each * classes.count(number) for number, each in enumerate(_CLASSES))
        weight -= _WESTERN * len(plain)
    letters = len(plain) - len(plain.translate(None, _LETTERS))
    return weight + _LETTER * letters + _SIGN * (len(plain) - letters - plain.count(b" "))
