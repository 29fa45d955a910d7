"""A server that goes on from the beginning of its one answer, if it is asked in the form that its
kind wants (docs/prefill.md). In any other form it begins the answer once more, as real ones do."""

import re
from collections import deque
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
    """A test sets `kind` and `whole`, and perhaps `pace` and `cuts`."""

    kind = "vllm"
    whole = ""
    """The answer. A token is a word with the white space before it."""
    pace = 0.0
    """Seconds after each token."""

    def __init__(self) -> None:
        super().__init__()
        self.cuts: deque[int] = deque()
        """Of the next calls: the tokens after which the connection breaks."""

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
        if self.cuts:
            return Script(self._steps(told[: self.cuts.popleft()]), cut=True)
        usage = {"prompt_tokens": 3, "completion_tokens": len(said), "total_tokens": 3 + len(said)}
        end = finish("stop" if said == tokens else "length")
        return Script([*self._steps(told), end, event({"choices": [], "usage": usage}), DONE])

    def _steps(self, told: list[str]) -> list[bytes | float]:
        return [step for each in told for step in (piece(each), self.pace)]


def _tokens(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)
