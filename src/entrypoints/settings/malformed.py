"""The value of a setting that is malformed, while the settings are checked against each other."""

from typing import Any, NoReturn


class UnknownValue(Exception):
    """Raised when a check needs the value of a malformed setting."""


class _Malformed:
    """Is set: it is true, and not None. More is not known of it."""

    def _unknown(self, *_: Any) -> NoReturn:
        raise UnknownValue

    __getattr__ = __eq__ = __hash__ = __iter__ = __str__ = _unknown
    __lt__ = __le__ = __gt__ = __ge__ = __format__ = _unknown


MALFORMED: Any = _Malformed()
