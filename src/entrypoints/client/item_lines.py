"""What hosted tools did, a line for each output item of the upstream."""

from typing import Any

from entrypoints.terminal import one_line

SHOWN = 200
"""Characters of a line that are shown."""

Item = dict[str, Any]


def item_line(item: Item) -> str:
    """Return what an item says, as safe to print. One that is not known is named by its type."""
    line = _told(item)
    if item.get("status") in ("failed", "incomplete"):
        line += f" ({item['status']})"
    return one_line(line if len(line) <= SHOWN else f"{line[:SHOWN]}…")


def _told(item: Item) -> str:
    match item.get("type"):
        case "web_search_call":
            return _web_search(_object(item.get("action")))
        case "file_search_call":
            return f"file search: {_joined(item.get('queries'))}"
        case "code_interpreter_call":
            return f"code interpreter: {item.get('code') or ''}"
        case "image_generation_call":
            picture = item.get("result")
            size = f" of {len(picture) * 3 // 4:,} bytes" if isinstance(picture, str) else ""
            return f"picture{size}: {item.get('revised_prompt') or ''}".removesuffix(": ")
        case "mcp_list_tools":
            tools = item.get("tools")
            names = [_object(each).get("name") for each in tools] if isinstance(tools, list) else []
            return f"tools of {item.get('server_label')}: {_joined(names)}"
        case "mcp_call":
            call = f"tool of {item.get('server_label')}: {item.get('name')}"
            failed = " failed" if item.get("error") else ""
            return f"{call}{failed}, {item.get('arguments') or '{}'}"
    return f"item: {item.get('type')}"


def _web_search(action: Item) -> str:
    match action.get("type"):
        case "open_page":
            return f"web page: {action.get('url') or ''}"
        case "find_in_page":
            return f"web page: {action.get('url') or ''}, looked for {action.get('pattern')}"
    queries = action.get("queries")
    return f"web search: {_joined(queries) if queries else action.get('query') or ''}"


def _joined(values: Any) -> str:
    return ", ".join(map(str, values)) if isinstance(values, list) else ""


def _object(value: Any) -> Item:
    return value if isinstance(value, dict) else {}
