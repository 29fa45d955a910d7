"""Count the values in JSON before it is decoded.

A value of three bytes becomes an object of a hundred, and millions of objects hold up the event
loop for seconds. Bytes are counted by functions that pass over megabytes in milliseconds.
"""

VALUES_LIMIT = 100_000
"""Values of a request, and of an event of a model: strings, numbers, arrays, objects and so on, not
counting names.
"""

_MARKS = b",[{"
"""One of these stands before each value but the first, apart from the values of objects, which have
it before their names."""


def has_few_values(content: bytes | bytearray, limit: int = VALUES_LIMIT) -> bool:
    """Whether JSON has at most `limit` values. Where an array or an object is empty, that counts
    twice. Of what is not JSON, only what a decoder reads before it notices is counted."""
    # A mark and a value take two bytes. Marks within strings are counted too, at first.
    if len(content) < 2 * limit or _count(content, _MARKS) < limit:
        return True
    content = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    # A string is a value or a name: with more of them there are too many values.
    if _count(content, b'"') > 4 * limit:
        return False
    outside = b"".join(content.split(b'"')[::2])
    return _count(outside, _MARKS) < limit


def _count(content: bytes | bytearray, marks: bytes) -> int:
    return len(content) - len(content.translate(None, marks))
