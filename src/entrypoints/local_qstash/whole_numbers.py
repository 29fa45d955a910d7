"""Whole numbers as clients write them in headers, queries and ids."""


def whole_number(text: str, digits: int = 15) -> int | None:
    """Return the number that these digits are, None if the text has anything else, nothing, or more
    than so many of them."""
    if not (text.isascii() and text.isdecimal() and len(text) <= digits):
        return None
    return int(text)
