"""The programs that the page shows for a request send that request: each is run."""

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from entrypoints.api_keys import new_key
from tests.doubles.upstream import Upstream
from tests.official.node.clients import Node
from tests.official.programs import ROOT
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within

pytestmark = pytest.mark.soak

MODULE = (ROOT / "src/entrypoints/web/as-code.js").as_uri()
TEXT = (
    "It's \"quoted\", 'twice' `ls` $HOME $(id) ${x} !! \\ \\n %s {x} #{x}\n"
    "JSON\n\tEOF\r\n'''\"\"\" </script> \x00\x7f\u2028\u202e\ufeff é 写 😀 {{}}"
)
PNG = "data:image/png;base64,iVBORw0KGgo="
FUNCTION = {"name": "look", "description": "Look it's up.", "parameters": {"type": "object"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}
EVERYTHING = {
    "system": TEXT,
    "messages": [
        {"role": "user", "content": "What is it?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": TEXT},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
                {"type": "file", "file": {"filename": "it's.pdf", "file_data": PNG}},
                {"type": "text", "text": TEXT},
            ],
        },
    ],
    "model": "a-model",
    "maxTokens": 500,
    "temperature": 0.5,
    "metadata": {"it's": "one"},
    "options": {
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "it", "schema": {"type": "object"}, "strict": True},
        },
        "reasoning_effort": "low",
        "verbosity": "low",
        "top_p": 0.9,
        "stop": ["\n\n", None, True],
        "top_k": 3,
    },
}
CASES: dict[str, tuple[bool, dict[str, Any]]] = {
    "a text": (True, {"prompt": TEXT}),
    "everything": (True, EVERYTHING),
    "only native": (False, {"prompt": TEXT, "deadline": 600, "options": {"__proto__": {"a": 1}}}),
    "log probabilities": (False, {"prompt": TEXT, "options": {"logprobs": False}}),
}


def _run(command: list[str], program: str, node: Node, **environment: str) -> str:
    ran = subprocess.run(  # noqa: S603
        command,
        input=program.encode(),
        cwd=node.folder,
        env={"HOME": str(node.folder), "PATH": os.environ["PATH"], **environment},
        capture_output=True,
        timeout=within(60),
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout.decode()


def _commands(node: Node) -> dict[str, list[str]]:
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    return {
        "curl": ["sh"],
        "python": [sys.executable, "-"],
        "javascript": [node.program, "--input-type=module", "-"],
    }


@pytest.mark.parametrize("case", CASES)
def test_every_program_sends_the_request(
    service: Running, upstream: Upstream, node: Node, case: str
) -> None:
    for_openai, request = CASES[case]
    task = service.client.start(**{"prompt": None, **request})
    service.client.wait_for(task, "completed")
    wanted = upstream.received.pop().body
    programs = node.result("page_code", service.url, "", module=MODULE, request=request)
    assert programs.pop("openai") is for_openai
    for name, command in _commands(node).items():
        said = _run(command, programs[name], node)
        if name == "curl":
            task = json.loads(said)["taskId"]
            follow = programs[name].partition("\n# ")[2].replace("TASK_ID", task)
            assert '"type":"end"' in _run(command, follow, node)
        else:
            assert said.strip() == "Hello, world."
        eventually(lambda: len(upstream.received) == 1)
        assert upstream.received.pop().body == wanted, name


@pytest.mark.parametrize("request_", [{"prompt": "Hi."}, {"prompt": "Hi.", "deadline": 600}])
def test_the_key_is_taken_from_the_environment_and_a_conversation_goes_on(
    upstream: Upstream, node: Node, request_: dict[str, Any]
) -> None:
    key, entry = new_key("alice")
    settings = settings_for(
        openai_base_url=upstream.url,
        api_keys=entry,
        stream_secret="a secret of forty characters, or even more",
    )
    with running_service(settings) as guarded:
        guarded.client.http.headers["Authorization"] = f"Bearer {key}"
        task = guarded.client.start("One.")
        guarded.client.wait_for(task, "completed")
        given = {**request_, "previousTaskId": task}
        programs = node.result(
            "page_code", guarded.url, "", module=MODULE, request=given, hasKey=True
        )
        upstream.received.clear()
        for name, command in _commands(node).items():
            assert key not in programs[name]
            _run(command, programs[name], node, LONGTASK_API_KEY=key)
            eventually(lambda: len(upstream.received) == 1)
            said = [each["content"] for each in upstream.received.pop().body["messages"]]
            assert said == ["One.", "Hello, world.", "Hi."]
