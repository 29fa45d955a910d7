"""Whole numbers as clients write them in headers, queries, ids and JSON."""


def whole_number(text: str, digits: int = 15) -> int | None:
    """Return the number that these digits are, None if the text has anything else, nothing, or more
    than so many of them."""
    if not (text.isascii() and text.isdecimal() and len(text) <= digits):
        return None
    return int(text)


def whole_number_in_json(value: object, digits: int = 15) -> int | None:
    """Return the number that a value of JSON is, for which 2.0 is one. As `whole_number`."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return whole_number(str(value), digits) if type(value) is int else None
