"""How a group of settings is declared, and the parsers that several groups use.

Text is parsed once, when the settings are loaded: a group holds numbers, secrets and frozen values.
A parser takes the text and raises ValueError with what is wrong, without repeating a secret.
"""

import re
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from pydantic import AliasChoices, Field, PlainValidator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from entrypoints.outside_text import header_word, is_http_url

T = TypeVar("T")


class Group(BaseSettings):
    """Settings of one subject. An empty value in the environment counts as not set."""

    model_config = SettingsConfigDict(
        enable_decoding=False,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )
    title: ClassVar[str]
    """Heading of the group in docs/settings.md."""


def setting(
    name: str,
    default: Any,
    meaning: str,
    *,
    unit: str = "",
    otherwise: str = "",
    secret: bool = False,
    instead: str = "",
    **bounds: Any,
) -> Any:
    """A field of a group: its name in the environment and what docs/settings.md says about it.
    `otherwise` describes a default that is worked out from something else. A `secret` is never
    shown. `instead` is another name, which is read where the first is not set. `bounds` are those
    of pydantic's `Field`."""
    return Field(
        default,
        alias=name,
        validation_alias=AliasChoices(name, instead) if instead else name,
        description=meaning,
        json_schema_extra={"unit": unit, "otherwise": otherwise, "secret": secret},
        repr=not secret,
        **bounds,
    )


def names_of(field: FieldInfo) -> list[str]:
    """The names of a setting in the environment. The first that is set counts."""
    names = field.validation_alias
    return (
        [str(each) for each in names.choices] if isinstance(names, AliasChoices) else [str(names)]
    )


def parsed(parse: Callable[[str], object]) -> PlainValidator:
    """Annotate a field whose text `parse` turns into its value. Other values are kept."""

    def validate(value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return parse(value)
        except ValueError as error:
            raise PydanticCustomError("malformed", "{fault}", {"fault": str(error)}) from None

    return PlainValidator(validate)


def words(text: str) -> list[str]:
    """Split at commas and white space."""
    return [each for each in re.split(r"[,\s]+", text) if each]


def entries(text: str) -> list[str]:
    """Split the entries of a setting that has one for each of several names. Raises ValueError if
    they are separated by something else."""
    if ";" in text:
        raise ValueError("has a ';', but its entries are separated by ','")
    return words(text)


def words_of(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """A parser of several words by one of a single word. It raises all faults, a line each."""

    def parse_all(text: str) -> tuple[T, ...]:
        values, faults = [], []
        for each in words(text):
            try:
                values.append(parse(each))
            except ValueError as error:
                faults.append(str(error))
        if faults:
            raise ValueError("\n".join(faults))
        return tuple(values)

    return parse_all


def secret_word(text: str) -> SecretStr | None:
    """Return a key or token, None if there is nothing but white space."""
    word = header_word(text)
    return SecretStr(word) if word else None


def http_url(text: str) -> str:
    """Return the URL without white space around it and without a slash at its end."""
    text = text.strip()
    if not is_http_url(text):
        raise ValueError("must be an http:// or https:// URL with no query and no white space")
    return text.rstrip("/")
