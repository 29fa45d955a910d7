"""Untrusted text, made safe to show on a terminal.

Control functions (ECMA-48) move the cursor, set colours or a title, or type on the user's behalf.
All of them begin with a control character, so control characters are shown and not sent. So are
halves of surrogate pairs, which JSON can hold and no terminal takes; and in a line, what turns the
direction of writing, which would change the order of all that follows.
"""

_CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
_SURROGATES = range(0xD800, 0xE000)
_TURNS = [0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)]
"""Controls of direction (Unicode, UAX 9), and line separators."""
_SHOWN = {
    **{code: f"\\x{code:02x}" for code in _CONTROLS},
    **{code: f"\\u{code:04x}" for code in _SURROGATES},
}
_IN_A_LINE = str.maketrans({**_SHOWN, **{code: f"\\u{code:04x}" for code in _TURNS}})
_IN_A_TEXT = str.maketrans({**_SHOWN, 0x09: "\t", 0x0A: "\n", 0x0D: None})


def one_line(text: str) -> str:
    r"""Return the text with each control character, line ends included, written as `\x1b`, and each
    control of direction as `\u202e`."""
    return text.translate(_IN_A_LINE)


def printable(text: str) -> str:
    r"""Like `one_line`, but keep tabs and line ends, and drop carriage returns."""
    return text.translate(_IN_A_TEXT)
