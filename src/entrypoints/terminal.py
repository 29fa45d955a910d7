"""Text of others on a terminal: without what would move the cursor, set colours or a title, or type
for the person who looks (ECMA-48 control functions, all of which begin with a control character).
"""

_CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
_SHOWN = {code: f"\\x{code:02x}" for code in _CONTROLS}
_IN_A_LINE = str.maketrans(_SHOWN)
_IN_A_TEXT = str.maketrans({**_SHOWN, 0x09: "\t", 0x0A: "\n", 0x0D: None})


def one_line(text: str) -> str:
    r"""With every control character, line ends included, as `\x1b` and the like."""
    return text.translate(_IN_A_LINE)


def printable(text: str) -> str:
    r"""The same, but tabs and line ends stay. Carriage returns are left out."""
    return text.translate(_IN_A_TEXT)
