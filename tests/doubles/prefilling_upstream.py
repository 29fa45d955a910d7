"""A server that goes on from the beginning of its one answer, if it is asked in the form that its
kind wants (docs/prefill.md). In any other form it begins the answer once more, as real ones do."""

import re
from typing import Any

from tests.doubles.upstream import DONE, Received, Script, Upstream, event, finish, piece

_UNFINISHED = {"continue_final_message": True, "add_generation_prompt": False}
_PREFIX, _PARTIAL = {"prefix": True}, {"partial": True}
FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "vllm": (_UNFINISHED, {}),
    "sglang": ({"continue_final_message": True}, {}),
    "llama_cpp": (_UNFINISHED, {}),
    "mistral": ({}, _PREFIX),
    "deepseek": ({}, _PREFIX),
    "kimi": ({}, _PARTIAL),
    "qwen": ({}, _PARTIAL),
}
"""By kind: the parameters of the call, and the further fields of its last message."""


class PrefillingUpstream(Upstream):
    """A test sets `kind` and `whole`."""

    kind = "vllm"
    whole = ""
    """The answer. A token is a word with the white space before it."""

    def script_for(self, received: Received) -> Script:
        if self.scripts:
            return self.scripts.popleft()
        body, (parameters, marks) = received.body, FORMS[self.kind]
        last = dict(body["messages"][-1])
        begun = last.pop("content")
        asked = last == {"role": "assistant", **marks} and parameters.items() <= body.items()
        begun = begun if asked and self.whole.startswith(begun) else ""
        tokens = _tokens(self.whole[len(begun) :])
        said = tokens[: body.get("max_tokens")]
        told = [begun, *said] if self.kind == "mistral" else said
        usage = {"prompt_tokens": 3, "completion_tokens": len(said), "total_tokens": 3 + len(said)}
        end = finish("stop" if said == tokens else "length")
        return Script([*map(piece, told), end, event({"choices": [], "usage": usage}), DONE])


def _tokens(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)
