"""Estimates of numbers of tokens, for what no model has counted."""

BYTES_PER_TOKEN = 4
"""Of text in UTF-8, for today's tokenizers: about four letters of English, two of Greek or Russian,
and somewhat more than one character of Chinese or Japanese."""


def estimate_tokens(*texts: str) -> int:
    """Return about how many tokens these texts cost together. Texts that are empty cost none."""
    size = sum(len(each) if each.isascii() else _bytes_of(each) for each in texts)
    return -(-size // BYTES_PER_TOKEN)


def _bytes_of(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
