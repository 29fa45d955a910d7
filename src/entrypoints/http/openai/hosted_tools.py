"""Tools that the model's server runs itself. Where it is asked by OpenAI's Responses API, they are
passed on as they are."""

from collections.abc import Mapping
from typing import Any

from domain.options import HOSTED_KINDS, WEB_SEARCH
from entrypoints.http.fields import Fields

Json = dict[str, Any]

_INCLUDED = ("code_interpreter_call.", "file_search_call.", "web_search_call.")
_SECRETS = ("authorization", "headers")
"""Fields of a tool that no response repeats."""
NAMES = ", ".join(f'"{each}"' for each in (WEB_SEARCH, *HOSTED_KINDS))


def hosted_tool(tool: Fields) -> Json:
    """Return a hosted tool as it is. Refuses approvals, which a client could not give: a message of
    chat completions, as a conversation holds them, has no place for one."""
    if tool.value("type") == "mcp" and tool.value("require_approval") != "never":
        tool.refuse("require_approval", 'must be "never": approvals are not carried')
    return tool.given()


def told_of_hosted(tool: Mapping[str, Any]) -> Json:
    """Return a hosted tool as a response tells it."""
    return {name: value for name, value in tool.items() if name not in _SECRETS}


def included(fields: Fields) -> list[str] | None:
    """Return what of hosted tools a response is to include. Anything else changes nothing here."""
    wanted = [each for each in fields.array("include") or () if isinstance(each, str)]
    return [each for each in wanted if each.startswith(_INCLUDED)] or None
