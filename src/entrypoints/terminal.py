"""Untrusted text, made safe to show on a terminal.

Control functions (ECMA-48) move the cursor, set colours or a title, or type on the user's behalf.
All of them begin with a control character, so control characters are shown and not sent.
"""

_CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
_SHOWN = {code: f"\\x{code:02x}" for code in _CONTROLS}
_IN_A_LINE = str.maketrans(_SHOWN)
_IN_A_TEXT = str.maketrans({**_SHOWN, 0x09: "\t", 0x0A: "\n", 0x0D: None})


def one_line(text: str) -> str:
    r"""Return the text with each control character, line ends included, written as `\x1b`."""
    return text.translate(_IN_A_LINE)


def printable(text: str) -> str:
    r"""Like `one_line`, but keep tabs and line ends, and drop carriage returns."""
    return text.translate(_IN_A_TEXT)
